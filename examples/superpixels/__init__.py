"""Garments in scenes, segmented with the help of superpixels: a model that takes a segmentation as an input."""
