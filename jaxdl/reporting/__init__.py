"""From lanes to what people read: statistics, tables, figures. It knows nothing else of jaxdl."""
