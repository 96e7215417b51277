"""Whether a rebuilt frame still serves perception: segmentation, stereo matching and optical flow."""
