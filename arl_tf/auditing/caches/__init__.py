"""What audits keep on disk for later ones: codes, and embeddings of the data set's images."""
