"""Turns maps into pictures; knows no TensorFlow."""
