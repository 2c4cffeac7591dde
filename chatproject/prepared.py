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
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.db import connection
from django.db.models import Expression, Field, Model, QuerySet
from django.db.models.sql import UpdateQuery

M = TypeVar("M", bound=Model)


class Parameter(Expression):
    """Stands for a value that is not known yet; `stored_as` is the field that it is written to."""

    def __init__(self, name: str, stored_as: "Field[Any, Any] | None" = None) -> None:
        super().__init__()
        self.name = name
        self.stored_as = stored_as

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        return "%s", [self]

    def written(self, value: Any) -> Any:
        """Return the value as the database's driver takes it."""
        if self.stored_as is not None:
            return self.stored_as.get_db_prep_save(value, connection)
        if isinstance(value, UUID):
            return value if connection.features.has_native_uuid_field else value.hex
        if isinstance(value, datetime):
            return connection.ops.adapt_datetimefield_value(value)
        return value


class Statement:
    """Finished SQL, one for each kind of database, and where in it the values go."""

    def __init__(self, build: Callable[..., Any]) -> None:
        self._build = build
        self._names = list(inspect.signature(build).parameters)
        self._finished: dict[str, Any] = {}

    def _compiled(self) -> Any:
        if (found := self._finished.get(connection.vendor)) is None:
            found = self._finished[connection.vendor] = self._compile()
        return found

    def _compile(self) -> Any:
        raise NotImplementedError

    def _values(self, params: Sequence[Any], values: Sequence[Any]) -> list[Any]:
        given = dict(zip(self._names, values, strict=True))
        return [
            param.written(given[param.name]) if isinstance(param, Parameter) else param for param in params
        ]


class Select(Statement, Generic[M]):
    """`build` returns a queryset of whole objects, or one of `values_list`."""

    def __init__(self, build: Callable[..., "QuerySet[M, Any]"]) -> None:
        super().__init__(build)

    def _compile(self) -> Any:
        queryset = self._build(*(Parameter(name) for name in self._names))
        compiler = queryset.query.get_compiler(connection=connection)
        sql, params = compiler.as_sql()
        converters = compiler.get_converters([column[0] for column in compiler.select[: compiler.col_count]])
        return sql, params, list(converters.items()), queryset.model

    def rows(self, *values: Any) -> list[tuple[Any, ...]]:
        """Run it, and return what was selected as it is."""
        sql, params, converters, _ = self._compiled()
        with connection.cursor() as cursor:
            cursor.execute(sql, self._values(params, values))
            rows = cursor.fetchall()
        return [_converted(row, converters) for row in rows] if converters else rows

    def objects(self, *values: Any) -> list[M]:
        """Run it, and return the objects that were selected."""
        rows = self.rows(*values)
        model = self._compiled()[3]
        names = [field.attname for field in model._meta.concrete_fields]
        return [model.from_db(connection.alias, names, row) for row in rows]

    def first(self, *values: Any) -> M | None:
        """Run it, and return the first object, if there is one. The query sees to it that there are few."""
        return next(iter(self.objects(*values)), None)


class Update(Statement):
    """`build` returns a queryset, and what is set in its rows."""

    def __init__(self, build: Callable[..., tuple["QuerySet[Any, Any]", Mapping[str, Any]]]) -> None:
        super().__init__(build)

    def _compile(self) -> Any:
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
        return sql, list(params)

    def run(self, *values: Any) -> int:
        """Run it, and return how many rows it changed."""
        sql, params = self._compiled()
        with connection.cursor() as cursor:
            cursor.execute(sql, self._values(params, values))
            return int(cursor.rowcount)


def insert(rows: Sequence[Model]) -> None:
    """Insert new objects of one model, all at once.

    No signal is sent, and a key that the database counts up is not read back.
    """
    model = type(rows[0])
    numbered = model._meta.auto_field
    fields = [field for field in model._meta.concrete_fields if field is not numbered]
    quote = connection.ops.quote_name
    columns = ", ".join(quote(field.column) for field in fields)
    places = ", ".join(["(" + ", ".join(["%s"] * len(fields)) + ")"] * len(rows))
    sql = f"INSERT INTO {quote(model._meta.db_table)} ({columns}) VALUES {places}"  # noqa: S608 (names of ours)
    values = [
        field.get_db_prep_save(field.pre_save(row, True), connection) for row in rows for field in fields
    ]
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
    for row in rows:
        row._state.adding = False
        row._state.db = connection.alias


def _converted(row: Sequence[Any], converters: list[Any]) -> tuple[Any, ...]:
    values = list(row)
    for place, (functions, expression) in converters:
        for function in functions:
            values[place] = function(values[place], expression, connection)
    return tuple(values)
