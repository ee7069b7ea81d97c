"""Turns maps into pictures; never imports TensorFlow."""
