"""Networks as the mathematics sees them, and all code that relies on framework internals."""
