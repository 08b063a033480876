"""What authors submit: manifests, the security checklist that they have to pass, and versions that rise."""
