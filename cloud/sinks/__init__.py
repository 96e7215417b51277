"""Where decoded frames go: image folders, videos."""
