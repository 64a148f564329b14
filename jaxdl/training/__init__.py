"""What a lane is made of: `jaxdl.train` is the face of this folder.

All functions here are pure and written for a single lane; `vmap` makes them many.
"""
