"""What people look at: pages, their ES modules and stylesheets, and the libraries they use."""
