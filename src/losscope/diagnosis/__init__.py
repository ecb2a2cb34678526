"""The door that needs no training: embeddings and labels in, retrieval quality and geometry out.

    files or arrays -> Space (checked at the border) -> measures -> Diagnosis -> terminal, JSON, parquet, page

`losscope.diagnose` is the function, `losscope diagnose` the command. What is written to a folder is plain data
(`diagnosis.json`, `rows.parquet`); the page is made from these two by `losscope.report.space`, without torch.
"""
