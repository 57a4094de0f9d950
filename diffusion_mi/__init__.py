"""Interests by denoising diffusion, on Hugging Face diffusers' schedulers and saving conventions."""
