"""The page of `allophone demo`: what it offers, says and shows; `page` alone knows Gradio."""
