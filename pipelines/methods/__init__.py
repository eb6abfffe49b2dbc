"""The methods: each a list of training stages that reads beside its paper; `method.py` has the contract."""
