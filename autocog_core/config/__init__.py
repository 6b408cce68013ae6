"""What is installed and configured: plugins, the config file, options, folders."""
