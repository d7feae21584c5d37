"""A folder for each protocol, with its routes, schemas and errors. None of them imports another."""
