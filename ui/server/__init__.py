"""How the front end is served: what stands between Gradio's addresses and the requests to them."""
