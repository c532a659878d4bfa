"""The FastAPI application: what is served beside `/v2/`, its errors, and the OpenAPI document of it.

`app.py` joins the endpoints. A feature has a module with its endpoints and their part of the document: `token.py`,
`discovery.py`.
"""
