"""The colours of text and paper in pictures with labels, as RGB."""

PAPER = (255, 255, 255)
# Behind text below a photograph.
BAND = (250, 250, 250)
TEXT = (28, 28, 32)
MUTED_TEXT = (104, 104, 112)
RULE = (222, 222, 226)
