"""Settings → the parts of the application, one module for each thing that is put together; `app.py` joins them."""
