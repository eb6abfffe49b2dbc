"""Distillation of BERT-family encoders by the TinyBERT recipe; reads Parquet, knows nothing of augmentation.

Kept free of imports: the worker processes that read and tokenise import submodules without paying for torch.
"""
