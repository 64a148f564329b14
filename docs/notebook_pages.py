"""Makes a page of every notebook, with the outputs that are stored in it; a link to a notebook
leads to its page. mkdocs.yml names this file as a hook."""

from mkdocs.structure.files import File
from nbconvert import MarkdownExporter

ENDING = ".ipynb"
DOWNLOAD = '<a href="../{name}" download>This page is a notebook: download it.</a>'


def on_files(files, *, config, **_):
    """Adds to the site's files, for every notebook, a page and its pictures."""
    for notebook in [file for file in files if file.src_uri.endswith(ENDING)]:
        folder = notebook.src_uri.removesuffix(ENDING)
        exporter = MarkdownExporter()
        text, resources = exporter.from_filename(
            notebook.abs_src_path, resources={"output_files_dir": notebook.name}
        )
        name = notebook.src_uri.rpartition("/")[2]
        page = f"{as_page(text)}\n\n{DOWNLOAD.format(name=name)}\n"
        files.append(File.generated(config, f"{folder}.md", content=page))
        for picture, content in resources["outputs"].items():
            place = f"{folder}/{picture.rpartition('/')[2]}"
            files.append(File.generated(config, place, content=content))
    return files


def on_page_markdown(markdown, **_):
    """Leads links to notebooks to their pages."""
    return markdown.replace(f"{ENDING})", ".md)")


def as_page(text: str) -> str:
    """Fits a notebook's outputs to the site: its tables look as others do, its pictures say what
    they are to those who cannot see them."""
    text = text.replace('<table border="1" class="dataframe">', "<table>")
    return text.replace("![png](", "![The figure that the code above draws](")
