"""The marketplace: plugins that authors submit, admins review, and users install and rate."""
