"""What the pipeline's stages need beside their tools: .github/workflows calls it by the Makefile's targets alone."""
