"""Configuration: is config.yaml well formed? Errors name the key and the nearest known one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nir.errors import InputError, unknown_name

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

SCENES = "results/scenes"
"""Where folders of photos become scenes with poses (experiments with `photos: true`)."""
COLLECTIONS = "results/shapes"
"""Where folders of meshes become collections of shapes (experiments with `meshes: true`)."""


def read_configuration(path: Path) -> dict[str, Any]:
    """Read a YAML file safely; by libyaml where PyYAML has it, which is six times as fast."""
    import yaml

    try:
        from yaml import CSafeLoader as SafeLoader
    except ImportError:
        from yaml import SafeLoader  # type: ignore[assignment]
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=SafeLoader)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; run from the folder of the Snakefile") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: a mapping of keys to values is expected")
    return values


def check_configuration(
    config: Mapping[str, Any], schema: Mapping[str, Any], *, where: str = "config.yaml"
) -> None:
    """Raise an `InputError` for the first thing in `config` that the schema does not allow."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(schema).iter_errors(config))
    if error is not None:
        raise InputError(_message(error, where))


def with_defaults(config: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in the defaults that the schema gives to keys at the top."""
    properties = schema["properties"].items()
    defaults = {key: value["default"] for key, value in properties if "default" in value}
    return {**defaults, **config}


def _message(error: ValidationError, where: str) -> str:
    place = f"{where}: " + ".".join(map(str, error.absolute_path))
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        extra = next(iter(_extra_keys(error, known)))
        dot = "." if error.absolute_path else ""
        return f"{place}{dot}{extra}: {unknown_name('key', extra, known)}"
    if error.validator == "enum":
        choices = map(str, error.validator_value)
        return f"{place}: {unknown_name('value', str(error.instance), choices)}"
    if error.validator == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        return f"{place}: {', '.join(missing)} must be given"
    if error.validator == "type":
        expected = error.validator_value
        expected = expected if isinstance(expected, str) else " or ".join(expected)
        return f"{place}: {expected} is expected, not {error.instance!r}"
    if error.validator == "anyOf" and "description" in error.schema:
        return f"{place}: {error.instance!r} is not of the kind expected: " + " ".join(
            error.schema["description"].split()
        )
    return f"{place}: {error.message}"


def _extra_keys(error: ValidationError, known: list[str]) -> Iterator[str]:
    return (key for key in error.instance if key not in known)
