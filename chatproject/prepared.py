"""Queries of the ORM that are put together once, and run as finished SQL from then on.

Building a query, compiling it and making objects of its rows costs Python five
to ten times what running it costs. That is nothing where a person waits, and
most of the work where an answer of a few tokens begins and ends. So the
statements of that path, and only those, are prepared. They stay queries of the
ORM: what it knows of models, fields and databases holds here as well.

What a prepared statement is given is told by the parameters of the function
that builds it; they stand for the values, in filters and updates alike:

    BY_TITLE = Select(lambda user, title: ChatSession.objects.filter(user_id=user, title=title))
    BY_TITLE.objects(7, "Lunch")
"""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.models import (
    CharField,
    DateTimeField,
    Expression,
    Field,
    ForeignKey,
    Model,
    QuerySet,
    TextField,
    UUIDField,
)
from django.db.models.sql import UpdateQuery

from chatproject.postgresql.kept import Kept, keep

M = TypeVar("M", bound=Model)
R = TypeVar("R")
Row = tuple[Any, ...]


@contextmanager
def atomic() -> Iterator[None]:
    """`transaction.atomic`, which begins together with its first statement where that is a prepared one.

    Not for those who have a cursor already: what is asked with that would not belong to it.
    """
    connection: Any = connections[DEFAULT_DB_ALIAS]
    connection.begins_late = True
    try:
        with transaction.atomic():
            connection.begins_late = False
            yield
    finally:
        connection.begins_late = False


# Fields that store what they are given, if it is of their own type.
AS_IS = {CharField, TextField, UUIDField, DateTimeField, ForeignKey}


class Parameter(Expression):
    """Stands for a value that is not known yet; `stored_as` is the field that it is written to."""

    def __init__(self, name: str, stored_as: "Field[Any, Any] | None" = None) -> None:
        super().__init__()
        self.name = name
        self.stored_as = stored_as

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        return "%s", [self]

    def taken_as_it_is(self, connection: Any) -> bool:
        """Tell whether `written` would only return the value: PostgreSQL's driver knows most types."""
        return connection.vendor == "postgresql" and (self.stored_as is None or type(self.stored_as) in AS_IS)

    def written(self, value: Any, connection: Any) -> Any:
        """Return the value as the database's driver takes it."""
        if self.stored_as is not None:
            return self.stored_as.get_db_prep_save(value, connection)
        if isinstance(value, UUID):
            return value if connection.features.has_native_uuid_field else value.hex
        if isinstance(value, datetime):
            return connection.ops.adapt_datetimefield_value(value)
        return value


@dataclass(frozen=True, slots=True)
class Finished:
    """A statement as one kind of database takes it."""

    sql: str
    params: list[Any]
    # Where in `params` a value goes, which of those given, and what writes it, if the driver does not.
    places: list[tuple[int, int, Parameter | None]]
    # What makes of a column what the field holds: where, and how.
    converters: list[tuple[int, list[Any], Any]]
    # How many values it is given.
    given: int
    # As PostgreSQL keeps it; several where several are sent together.
    kept: tuple[Kept, ...] = ()

    def filled(self, values: Sequence[Any], connection: Any) -> list[Any]:
        params = self.params[:]
        for place, given, parameter in self.places:
            params[place] = parameter.written(values[given], connection) if parameter else values[given]
        return params

    def fetched(self, values: Sequence[Any], connection: Any) -> list[Row]:
        """Run it, and return its rows."""
        return self.converted(self.run(values, connection, _rows), connection)

    def changed(self, values: Sequence[Any], connection: Any, *, commits: bool = False) -> int:
        """Run it, and return how many rows it changed."""
        return self.run(values, connection, _row_count, commits=commits)

    def run(
        self, values: Sequence[Any], connection: Any, read: Callable[[Any], R], *, commits: bool = False
    ) -> R:
        """Run it on the driver's own cursor, and return what is read of that.

        Django's cursor costs as much again as a short statement itself. It is taken where somebody
        listens to it: a wrapper, or the log of queries.
        """
        params = self.filled(values, connection)
        if connection.execute_wrappers or connection.queries_logged:
            with connection.cursor() as cursor:
                cursor.execute(self.sql, params)
                return read(cursor)
        if connection.connection is None:
            connection.ensure_connection()
        connection.validate_no_broken_transaction()
        with connection.wrap_database_errors:
            if self.kept:
                return read(connection.called(self.kept, params, commits=commits))
            cursor = connection.create_cursor()
            cursor.execute(self.sql, params)
            return read(cursor)

    def converted(self, rows: list[Row], connection: Any) -> list[Row]:
        if not self.converters:
            return rows
        return [_converted(row, self.converters, connection) for row in rows]


# SQL, its parameters, and the converters of its columns.
Compiled = tuple[str, Sequence[Any], list[tuple[int, list[Any], Any]]]


class Statement:
    """Finished SQL, one for each kind of database."""

    def __init__(self, build: Callable[..., Any]) -> None:
        self._build = build
        self._names = list(inspect.signature(build).parameters)
        self._finished: dict[str, Finished] = {}

    def finished(self, connection: Any) -> Finished:
        """Return the statement for this connection's kind of database, compiled when it is first needed."""
        if (found := self._finished.get(connection.vendor)) is None:
            sql, params, converters = self._compile(connection)
            if connection.vendor == "postgresql":
                sql, params = _with_constants(sql, params, connection)
            places = [
                (place, self._names.index(param.name), None if param.taken_as_it_is(connection) else param)
                for place, param in enumerate(params)
                if isinstance(param, Parameter)
            ]
            kept = (keep(sql),) if connection.vendor == "postgresql" else ()
            found = Finished(sql, list(params), places, converters, len(self._names), kept)
            self._finished[connection.vendor] = found
        return found

    def _compile(self, connection: Any) -> Compiled:
        raise NotImplementedError

    def made_of(self, rows: list[Row]) -> list[Any]:
        """Return what it stands for of rows that it has found."""
        return rows


class Sql(Statement):
    """`build` returns a statement that no queryset can say, and its parameters in their order."""

    def _compile(self, connection: Any) -> Compiled:
        sql, params = self._build(*(Parameter(name) for name in self._names))
        return sql, params, []

    def rows(self, *values: Any) -> list[Row]:
        """Run it, and return its rows."""
        connection = connections[DEFAULT_DB_ALIAS]
        return self.finished(connection).fetched(values, connection)


class Select(Statement, Generic[M]):
    """`build` returns a queryset of whole objects, or one of `values_list`."""

    def __init__(self, build: Callable[..., "QuerySet[M, Any]"]) -> None:
        super().__init__(build)
        self._model: type[M]
        self._attributes: list[str]
        self._whole: bool

    def _compile(self, connection: Any) -> Compiled:
        queryset = self._build(*(Parameter(name) for name in self._names))
        self._model = queryset.model
        self._attributes = [field.attname for field in queryset.model._meta.concrete_fields]
        compiler = queryset.query.get_compiler(connection=connection)
        sql, params = compiler.as_sql()
        self._whole = queryset.query.default_cols
        columns = [column[0] for column in compiler.select[: compiler.col_count]]
        converters = compiler.get_converters(columns)
        return sql, params, [(place, *how) for place, how in converters.items()]

    def rows(self, *values: Any) -> list[Row]:
        """Run it, and return what was selected as it is."""
        connection = connections[DEFAULT_DB_ALIAS]
        return self.finished(connection).fetched(values, connection)

    def objects(self, *values: Any) -> list[M]:
        """Run it, and return the objects that were selected."""
        return self.made_of(self.rows(*values))

    def first(self, *values: Any) -> M | None:
        """Run it, and return the first object, if there is one. The query sees to it that there are few."""
        return next(iter(self.objects(*values)), None)

    def made_of(self, rows: list[Row]) -> list[Any]:
        """Return objects of rows that were selected; rows as they are where they were asked for."""
        if not self._whole:
            return rows
        return [self._model.from_db(DEFAULT_DB_ALIAS, self._attributes, row) for row in rows]


class Together:
    """Some statements that find something, one after the other; sent at once where the database takes that.

    Each sees what was committed before it began, and locks of the earlier are held. They are not made
    one query: to find the best way to join them would cost more than a question of its own.
    """

    def __init__(self, *statements: Select[Any] | Sql) -> None:
        self._statements = statements
        self._finished: dict[str, Finished] = {}

    def found(self, *values: Sequence[Any]) -> list[list[Any]]:
        """Run them, each with its own values, and return what each has found: objects, or rows."""
        connection = connections[DEFAULT_DB_ALIAS]
        finished = [statement.finished(connection) for statement in self._statements]
        if connection.vendor != "postgresql":
            results = [one.fetched(given, connection) for one, given in zip(finished, values, strict=True)]
        else:
            given = [value for some in values for value in some]
            joined = self._joined(connection, finished)
            results = joined.run(given, connection, _all_rows)
            results = [one.converted(rows, connection) for one, rows in zip(finished, results, strict=True)]
        return [one.made_of(rows) for one, rows in zip(self._statements, results, strict=True)]

    def _joined(self, connection: Any, finished: Sequence[Finished]) -> Finished:
        if (found := self._finished.get(connection.vendor)) is None:
            sql = "; ".join(one.sql for one in finished)
            kept = tuple(kept for one in finished for kept in one.kept)
            found = self._finished[connection.vendor] = _joined(sql, finished, kept)
        return found


class Update(Statement):
    """`build` returns a queryset, and what is set in its rows."""

    def __init__(self, build: Callable[..., tuple["QuerySet[Any, Any]", Mapping[str, Any]]]) -> None:
        super().__init__(build)

    def _compile(self, connection: Any) -> Compiled:
        queryset, changes = self._build(*(Parameter(name) for name in self._names))
        fields = queryset.model._meta
        query = queryset.query.chain(UpdateQuery)
        query.add_update_values(
            {
                name: Parameter(value.name, fields.get_field(name)) if isinstance(value, Parameter) else value
                for name, value in changes.items()
            }
        )
        sql, params = query.get_compiler(connection=connection).as_sql()
        return sql, params, []

    def run(self, *values: Any) -> int:
        """Run it, and return how many rows it changed."""
        connection = connections[DEFAULT_DB_ALIAS]
        return self.finished(connection).changed(values, connection)


class Insert(Statement):
    """`build` returns new objects of one model; a key that the database counts up is left to it.

    No signal is sent, and no field is asked what it would store of its own accord.
    """

    def __init__(self, build: Callable[..., Sequence[Model]]) -> None:
        super().__init__(build)

    def _compile(self, connection: Any) -> Compiled:
        rows = self._build(*(Parameter(name) for name in self._names))
        model = rows[0]._meta
        fields = [field for field in model.concrete_fields if field is not model.auto_field]
        params = [_stored(row, field, connection) for row in rows for field in fields]
        quote = connection.ops.quote_name
        columns = ", ".join(quote(field.column) for field in fields)
        places = ", ".join(["(" + ", ".join(["%s"] * len(fields)) + ")"] * len(rows))
        sql = f"INSERT INTO {quote(model.db_table)} ({columns}) VALUES {places}"  # noqa: S608 (names of ours)
        return sql, params, []

    def run(self, *values: Any) -> int:
        """Run it, and return how many rows there are more."""
        connection = connections[DEFAULT_DB_ALIAS]
        return self.finished(connection).changed(values, connection)


def _stored(row: Model, field: "Field[Any, Any]", connection: Any) -> Any:
    value = getattr(row, field.attname)
    if isinstance(value, Parameter):
        return Parameter(value.name, field)
    if field.has_default() and callable(field.default):
        # It would be the same in every row from now on.
        raise TypeError(f"{field} has another value each time: give it")
    return field.get_db_prep_save(value, connection)


class Both:
    """Two changes that belong together, the second counted; in one statement where the database can.

    Where both are updates, what the first changes is locked first.
    """

    def __init__(self, first: Update | Insert, second: Update | Insert) -> None:
        self._first = first
        self._second = second
        self._finished: dict[str, Finished] = {}

    def run(self, first: Sequence[Any], second: Sequence[Any], *, commits: bool = False) -> int:
        """Run both, each with its own values, and return how many rows the second changed.

        With `commits` they are the last of a transaction: `COMMIT` is sent together with them, where the
        database takes that, and what leaves the `atomic` block finds nothing to do. Nothing may follow them
        there: it would be on its own.
        """
        connection = connections[DEFAULT_DB_ALIAS]
        if connection.vendor != "postgresql":
            with transaction.atomic(savepoint=False):
                self._first.run(*first)
                return self._second.run(*second)
        return self.finished(connection).changed((*first, *second), connection, commits=commits)

    def finished(self, connection: Any) -> Finished:
        if (found := self._finished.get(connection.vendor)) is None:
            one, two = self._first.finished(connection), self._second.finished(connection)
            sql = f"WITH first AS ({one.sql} RETURNING 1) {two.sql}"
            if isinstance(self._second, Update):
                # Always true, and asks for the first before any row of the second is touched.
                sql += " AND (SELECT count(*) FROM first) >= 0"
            found = self._finished[connection.vendor] = _joined(sql, [one, two], (keep(sql),))
        return found


def _joined(sql: str, parts: Sequence[Finished], kept: tuple[Kept, ...]) -> Finished:
    """Return a statement that these are parts of, in this order, with the values of all."""
    params: list[Any] = []
    places: list[tuple[int, int, Parameter | None]] = []
    given = 0
    for part in parts:
        places += [(len(params) + place, given + value, written) for place, value, written in part.places]
        params += part.params
        given += part.given
    return Finished(sql, params, places, [], given, kept)


def _row_count(cursor: Any) -> int:
    return int(cursor.rowcount)


def _rows(cursor: Any) -> list[Row]:
    rows: list[Row] = cursor.fetchall()
    return rows


def _all_rows(cursor: Any) -> list[list[Row]]:
    found = [_rows(cursor)]
    while cursor.nextset():
        found.append(_rows(cursor))
    return found


def _with_constants(sql: str, params: Sequence[Any], connection: Any) -> tuple[str, list[Any]]:
    """Write what is the same each time into the statement, as the driver would; only parameters are left."""
    given = iter(params)
    left = []

    def written(placeholder: re.Match[str]) -> str:
        if placeholder[0] == "%%":
            return "%%"
        param = next(given)
        if isinstance(param, Parameter):
            left.append(param)
            return "%s"
        return str(connection.ops.compose_sql("%s", [param])).replace("%", "%%")

    return re.sub("%[%s]", written, sql), left


def _converted(
    row: Sequence[Any], converters: list[tuple[int, list[Any], Any]], connection: Any
) -> tuple[Any, ...]:
    values = list(row)
    for place, functions, expression in converters:
        for function in functions:
            values[place] = function(values[place], expression, connection)
    return tuple(values)
