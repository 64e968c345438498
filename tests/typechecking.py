"""How types are checked while tests run: by beartype, where a whole number is a fine float."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
