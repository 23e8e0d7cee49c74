"""How the documentation site is built from the repository: hooks of mkdocs, and their tests."""
