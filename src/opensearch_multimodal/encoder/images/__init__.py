"""Page images to the arrays that a model's graph takes, by Pillow and NumPy alone.

One module per layout of `models.ImageTower`; each is equal to the image processor of transformers that its
docstring names, in its Pillow variant (the one based on torchvision rounds its resizing otherwise). What the
graphs take (n images, t tokens, p patches of the largest image of the batch; float32 and int64):

==========  ===================================================================================
layout      inputs
==========  ===================================================================================
fixed       ``pixel_values`` (n, 3, height, width)
naflex      ``patches`` (n, p, 3·s·s), ``patch_mask`` (n, p), ``row_weights`` and
            ``column_weights`` (n, p, g): a patch's position embedding is the sum over i, j of
            row[i]·column[j]·table[i, j]
qwen_vl     ``patches`` (n, p, 3·f·s·s) in blocks of patches that are merged, ``patch_mask``
            (n, p), ``patch_positions`` (n, p, 2): row and column; Qwen2.5-VL:
            ``patch_windows`` (n, p); Qwen3-VL: ``position_indices`` and ``position_weights``
            (n, p, 4) into its table of position embeddings
idefics3    ``pixel_values`` (tiles, 3, s, s): the tiles of all images, one after the other
+ prompt    ``input_ids`` and ``attention_mask`` (n, t); qwen_vl: ``position_ids`` (3, n, t)
==========  ===================================================================================

Padding is 0 and at the end. A graph leaves out what it has no use for.
"""

from __future__ import annotations

from .collate import collate
from .colour import upright_size
from .reader import Arrays, ImageReader, open_reader

__all__ = ["Arrays", "ImageReader", "collate", "open_reader", "upright_size"]
