"""The viewer of planes: bake a NeX field into 8-bit textures, draw them in PyTorch or a browser.

Vocabulary. **Textures** are what a field says at the texels of its planes: alpha for every plane,
base colour and coefficients for every group of planes. They are cut into square **tiles**; tiles
that nobody sees are dropped, the others are packed into the **pages** of an atlas, each in a
**slot**, and a **tile table** says where. The **basis table** holds the basis over viewing
directions. Conventions are those of `operators.planes`.
"""
