"""Medical pictures: what their values mean, and reading DICOM."""
