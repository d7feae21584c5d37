"""Decodes images with Pillow, resizes, scales and normalises them."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from slipway_core.inputs.dropped_items import DROPPED, is_dropped
from slipway_core.inputs.image_header import FORMATS, ImageLimits, read_image_size
from slipway_core.inputs.items import Item
from slipway_core.models.exported.preprocessing import PreparedInput, RejectedInput
from slipway_core.package.datatypes import NUMPY_TYPES
from slipway_core.package.manifest import ImageInput, TensorSpec


class ImagePreprocessor:
    """Converts encoded images to arrays [channels, height, width].

    The channels are red, green and blue, or grey alone.
    """

    max_tokens = 0

    def __init__(self, spec: TensorSpec, limits: ImageLimits) -> None:
        self._limits = limits
        _, self._channels, self._height, self._width = spec.shape
        self._type = NUMPY_TYPES[spec.datatype]
        self._is_scaled = spec.datatype != "UINT8"
        image = spec.image or ImageInput()
        self._mean = np.asarray(image.mean or 0.0, dtype=np.float32).reshape(-1, 1, 1)
        self._std = np.asarray(image.std or 1.0, dtype=np.float32).reshape(-1, 1, 1)

    def prepare(self, items: Sequence[Item]) -> list[PreparedInput | RejectedInput]:
        """Return one array for each image. What is not an image is rejected alone.

        Decoding is what costs most: an image that nobody waits for any more is skipped.
        """
        return [
            RejectedInput(DROPPED) if is_dropped(item) else self._prepare(item.value)
            for item in items
        ]

    def _prepare(self, content: bytes) -> PreparedInput | RejectedInput:
        try:
            image = decode_image(content, "L" if self._channels == 1 else "RGB", self._limits)
        except ValueError as error:
            return RejectedInput.invalid(str(error))
        resized = image.resize((self._width, self._height), Image.Resampling.BILINEAR)
        pixels: npt.NDArray[Any] = np.asarray(resized)
        pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        if self._is_scaled:
            pixels = (pixels.astype(np.float32) / 255.0 - self._mean) / self._std
        return PreparedInput((pixels.astype(self._type),))


def decode_image(content: bytes, mode: str, limits: ImageLimits) -> Image.Image:
    """Decode the first frame of an image, turned upright by its EXIF orientation.

    Raises ValueError with a message for the caller.
    """
    try:
        with warnings.catch_warnings():
            # Pillow only warns about many pixels; the size is checked here, before decoding.
            warnings.simplefilter("ignore")
            size = _checked_size(content, limits)
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                # What was accepted is what is decoded: a file may state two sizes.
                if sorted(image.size) != sorted(size):
                    raise ValueError("the image states two sizes: save it anew")
                ImageOps.exif_transpose(image, in_place=True)
                return image.convert(mode)
    except ValueError:
        raise
    except Exception as error:  # the decoders raise many kinds of errors on damaged content
        kinds = ", ".join(FORMATS)
        raise ValueError(f"the image cannot be decoded; it must be one of {kinds}") from error


def _checked_size(content: bytes, limits: ImageLimits) -> tuple[int, int]:
    size = read_image_size(content)
    if size is None:
        raise ValueError(f"the image cannot be decoded; it must be one of {', '.join(FORMATS)}")
    if excess := limits.find_excess(size):
        raise ValueError(f"the image {excess}")
    return size
