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

SCHEMA = Path("workflow/schemas/config.schema.yaml")
"""Below the Snakefile's folder."""


def load_configuration(
    path: Path | None, over: Mapping[str, Any], *, folder: Path | None = None
) -> dict[str, Any]:
    """A configuration with `over` laid over it, checked, and filled in with the schema's defaults.

    path: None where `over` is all there is.
    folder: the Snakefile's, where the schema lies. By default that of the file, or else the one
    that commands are run from.
    """
    if folder is None:
        beside = Path() if path is None else path.parent
        folder = beside if (beside / SCHEMA).is_file() else Path()
    values = {} if path is None else read_configuration(path)
    schema = read_configuration(folder / SCHEMA)
    config = _laid_over(values, over)
    check_configuration(config, schema, where=path.name if path else "config.yaml")
    return with_defaults(config, schema)


def _laid_over(values: Any, over: Mapping[str, Any]) -> dict[str, Any]:
    """Key by key at every depth, as Snakemake lays --configfile over what a workflow has."""
    merged = dict(values) if isinstance(values, Mapping) else {}
    for key, value in over.items():
        merged[key] = _laid_over(merged.get(key), value) if isinstance(value, Mapping) else value
    return merged


def read_configuration(path: Path) -> dict[str, Any]:
    """Read a YAML file safely; by libyaml where PyYAML has it, which is six times as fast."""
    import yaml

    try:
        from yaml import CSafeLoader as SafeLoader
    except ImportError:
        from yaml import SafeLoader  # type: ignore[assignment]
    try:
        values = SafeLoader(path.read_text(encoding="utf-8")).get_single_data()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; run from the folder of the Snakefile") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: a mapping of keys to values is expected")
    return values


def check_configuration(
    config: Mapping[str, Any], schema: Mapping[str, Any], *, where: str = "config.yaml"
) -> None:
    """Raise an `InputError` for the first thing in `config` that the schema does not allow."""
    if _is_valid(config, schema):
        return
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(schema).iter_errors(config))
    if error is not None:
        raise InputError(_message(error, where))


def _is_valid(config: Mapping[str, Any], schema: Mapping[str, Any]) -> bool:
    """Whether there is anything to explain; every command and every job of a cluster asks first.

    To import what explains takes a third of a second, to ask this a hundredth.
    """
    from jsonschema_rs import Draft202012Validator

    try:
        return Draft202012Validator(schema).is_valid(config)
    except ValueError:  # such as keys that are numbers, of which JSON knows nothing
        return False


def with_defaults(config: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in the defaults that the schema gives to keys at the top."""
    properties = schema["properties"].items()
    defaults = {key: value["default"] for key, value in properties if "default" in value}
    return {**defaults, **config}


def _message(error: ValidationError, where: str) -> str:
    path = ".".join(map(str, error.absolute_path))
    place = f"{where}: {path}" if path else where
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        extra = next(iter(_extra_keys(error, known)))
        return f"{place}{'.' if path else ': '}{extra}: {unknown_name('key', str(extra), known)}"
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
