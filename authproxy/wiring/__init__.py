"""Settings → the parts of the application, one module for each part; `app.py` joins them."""
