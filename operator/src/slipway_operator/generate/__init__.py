"""Files made from the API's models: the CRD, the operator's role and the reference page."""
