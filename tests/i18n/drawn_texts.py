"""The texts of faults and refusals as the code puts them together, drawn from the source with their fields named.

``f"at most {reachable:,.0f} {unit}"`` is drawn as ``at most {reachable} {unit}``: the message id under which the
catalogue has it.  Names are followed to what was assigned to them, parameters to the calls of their function, calls
to what their function returns; what is no text of ours (a number, an id, a message of a library) is a field.
"""

from __future__ import annotations

import ast
import functools
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import optimize

_HOME = Path(optimize.__file__).parent
# Calls that state what is wrong: positions and keywords of the texts among their arguments.
_STATED: Mapping[str, Mapping[int, str]] = {
    "Fault": {2: "expected", 3: "found", 4: "mend"},
    "Flaw": {0: "found", 1: "mend"},
    "HTTPException": {1: "detail"},
    "_Refused": {1: "words"},
    "_answer": {3: "words"},
    "refusal": {2: "reason"},
}
_REFUSALS = ("OptimizeError", "UsageError", "FailedCheck", "UnreadablePlan", "SolverError")
_MOST_FORMS = 64
_DEEPEST = 8


class Field(str):
    """The name of what is filled in; ``of`` is the expression it stands for."""

    of: str

    @classmethod
    def standing_for(cls, node: ast.expr) -> Field:
        made = cls(_field_name(node))
        made.of = ast.unparse(node)
        return made


Form = tuple[str, ...]  # literal texts and `Field`s one after the other


@dataclass
class _Function:
    module: _Module
    node: ast.FunctionDef | ast.AsyncFunctionDef
    owner: str  # class it belongs to

    @property
    def parameters(self) -> list[str]:
        arguments = self.node.args
        names = [a.arg for a in (*arguments.posonlyargs, *arguments.args)]
        is_static = any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in self.node.decorator_list)
        return names[1:] if self.owner and not is_static else names


@dataclass
class _Module:
    path: Path
    tree: ast.Module
    functions: dict[str, list[_Function]] = field(default_factory=lambda: defaultdict(list))
    constants: dict[str, ast.expr] = field(default_factory=dict)
    imported: dict[str, str] = field(default_factory=dict)
    scopes: dict[ast.AST, _Function] = field(default_factory=dict)
    calls: list[ast.Call] = field(default_factory=list)


@dataclass(frozen=True)
class Drawn:
    """A text as the catalogue has it, and where it stands in the code."""

    place: str
    text: str


class _Drawing:
    def __init__(self) -> None:
        self.modules = {path: _read(path) for path in sorted(_HOME.rglob("*.py"))}
        self.by_name = {_dotted(path): module for path, module in self.modules.items()}
        self.calls: dict[str, list[tuple[_Module, ast.Call]]] = defaultdict(list)
        self.within: list[tuple[_Module, ast.expr, Form]] = []
        for module in self.modules.values():
            for call in module.calls:
                self.calls[_name_of(call.func)].append((module, call))

    def texts(self) -> Iterator[Drawn]:
        for name in (*_STATED, *_REFUSALS):
            for module, call in self.calls[name]:
                for argument in _stated(call):
                    for form in self.forms(argument, module, _DEEPEST):
                        yield _drawn(module, call, form)
        for result in _results(self.by_name["optimize.errors"].functions["__str__"][0].node):
            for form in self.forms(result, self.by_name["optimize.errors"], _DEEPEST):
                yield _drawn(self.by_name["optimize.errors"], result, form)
        for module, node, form in self.within:
            yield _drawn(module, node, form)

    # --- what an expression can read ------------------------------------------------------------------

    def forms(self, node: ast.expr, module: _Module, depth: int) -> list[Form]:
        """Every text an expression can be; one field where it is none of ours."""
        found = self._forms(node, module, depth)
        unique = list(dict.fromkeys(found))
        assert len(unique) <= _MOST_FORMS, f"{module.path}:{node.lineno}: too many texts in one expression"
        return unique

    def _forms(self, node: ast.expr, module: _Module, depth: int) -> list[Form]:
        value: list[Form] = [(Field.standing_for(node),)]
        if depth == 0:
            return value
        match node:
            case ast.Constant(value=str(text)):
                return [(text,)]
            case ast.Constant():
                return value
            case ast.JoinedStr(values=parts):
                return self._joined([self._part(part, module, depth) for part in parts])
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._joined([self.forms(side, module, depth) for side in (left, right)])
            case ast.IfExp(body=body, orelse=other):
                return self.forms(body, module, depth) + self.forms(other, module, depth)
            case ast.BoolOp(values=parts):
                return [form for part in parts for form in self.forms(part, module, depth)]
            case ast.Subscript(value=ast.Name(id=name)) if name in module.constants:
                return self._of_constant(module.constants[name], module, depth) or value
            case ast.Name(id=name):
                return self._named(node, name, module, depth) or value
            case ast.Call(func=ast.Name(id="N_"), args=[text]):
                return self.forms(text, module, depth)
            case ast.Call(func=ast.Attribute(value=receiver, attr="get"), args=[_, default]):
                listed = (
                    self._of_constant(module.constants[receiver.id], module, depth)
                    if isinstance(receiver, ast.Name) and receiver.id in module.constants
                    else value
                )
                return listed + self.forms(default, module, depth)
            case ast.Call(func=function):
                return self._returned(function, module, depth) or value
        return value

    def _part(self, part: ast.expr, module: _Module, depth: int) -> list[Form]:
        if not isinstance(part, ast.FormattedValue):
            return self.forms(part, module, depth)
        if part.conversion == ord("r") or part.format_spec is not None:
            return [(Field.standing_for(part.value),)]
        forms = self.forms(part.value, module, depth - 1)
        if isinstance(part.value, ast.IfExp | ast.Constant):  # a choice of words made on the spot
            return forms
        # a text within a text is told by itself
        self.within += [(module, part, form) for form in forms if " " in msgid(form).strip()]
        return [(Field.standing_for(part.value),)]

    @staticmethod
    def _joined(parts: Sequence[Sequence[Form]]) -> list[Form]:
        return [tuple(piece for form in chosen for piece in form) for chosen in product(*parts)]

    def _of_constant(self, node: ast.expr, module: _Module, depth: int) -> list[Form]:
        match node:
            case ast.Dict(values=values):
                listed = values
            case ast.Tuple(elts=values) | ast.List(elts=values):
                listed = values
            case ast.Constant() | ast.JoinedStr():
                listed = [node]
            case _:
                return []
        return [form for item in listed for form in self._of_item(item, module, depth)]

    def _of_item(self, item: ast.expr, module: _Module, depth: int) -> list[Form]:
        if isinstance(item, ast.Tuple | ast.List | ast.Dict):
            return self._of_constant(item, module, depth)
        return self.forms(item, module, depth - 1)

    def _named(self, node: ast.expr, name: str, module: _Module, depth: int) -> list[Form]:
        """What a name stands for: assigned in the function, its parameter, or a constant of the module."""
        function = module.scopes.get(node)
        if function is not None:
            assigned = list(_assigned(function.node, name, {**module.constants, **_listed(function.node)}))
            if assigned:
                return [form for value in assigned for form in self.forms(value, module, depth - 1)]
            if name in function.parameters:
                return self._passed(function, name, depth)
        if name in module.constants:
            return self._of_constant(module.constants[name], module, depth)
        return []

    def _passed(self, function: _Function, name: str, depth: int) -> list[Form]:
        """What callers pass for a parameter."""
        position = function.parameters.index(name)
        found: list[Form] = []
        defaults = function.node.args.defaults
        behind = len(function.parameters) - len(defaults)
        if position >= behind:
            found += self.forms(defaults[position - behind], function.module, depth - 1)
        for module, call in self.calls[function.node.name]:
            if function.node.name.startswith("_") and module is not function.module:
                continue
            if isinstance(call.func, ast.Name) and not self._is_meant(call.func.id, module, function):
                continue
            if len(call.args) > position and not any(
                isinstance(a, ast.Starred) for a in call.args[: position + 1]
            ):
                found += self.forms(call.args[position], module, depth - 1)
            for keyword in call.keywords:
                if keyword.arg == name:
                    found += self.forms(keyword.value, module, depth - 1)
        return found

    def _is_meant(self, name: str, module: _Module, function: _Function) -> bool:
        if name in module.functions:
            return function in module.functions[name]
        return self.by_name.get(module.imported.get(name, "")) is function.module

    def _returned(self, function: ast.expr, module: _Module, depth: int) -> list[Form]:
        name = _name_of(function)
        if isinstance(function, ast.Name) or (
            isinstance(function, ast.Attribute)
            and isinstance(function.value, ast.Name)
            and function.value.id == "self"
        ):
            known = module.functions.get(name)
            if known is None and module.imported.get(name, "") in self.by_name:
                known = self.by_name[module.imported[name]].functions.get(name)
        else:
            known = None
        return [
            form
            for other in known or ()
            for value in _results(other.node)
            for form in self.forms(value, other.module, depth - 1)
        ]


def drawn_texts() -> list[Drawn]:
    """Every text of a fault or refusal in the package that has words of ours."""
    return [text for text in _Drawing().texts() if has_words(text.text)]


def has_words(text: str) -> bool:
    """Whether something is left to be told beside what is filled in."""
    return re.search(r"[A-Za-z]{2}", re.sub(r"\{\w+\}", "", text)) is not None


def _drawn(module: _Module, node: ast.expr, form: Form) -> Drawn:
    return Drawn(f"{module.path.relative_to(_HOME)}:{node.lineno}", msgid(form))


def msgid(form: Form) -> str:
    """The form with its fields named, each name once for each thing."""
    names: dict[str, str] = {}  # by expression
    for part in form:
        if isinstance(part, Field) and part.of not in names:
            taken = sum(name.rstrip("0123456789") == part for name in names.values())
            names[part.of] = f"{part}{taken + 1}" if taken else str(part)
    return "".join(f"{{{names[part.of]}}}" if isinstance(part, Field) else part for part in form)


# --- reading the source --------------------------------------------------------------------------------


def _read(path: Path) -> _Module:
    module = _Module(path, ast.parse(path.read_text(encoding="utf-8")))
    for node in module.tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            module.constants[node.targets[0].id] = node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            module.constants[node.target.id] = node.value
    _enter(module, module.tree, None, "")
    return module


def _enter(module: _Module, node: ast.AST, within: _Function | None, owner: str) -> None:
    for child in ast.iter_child_nodes(node):
        inner, inner_owner = within, owner
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            inner = _Function(module, child, owner if isinstance(node, ast.ClassDef) else "")
            module.functions[child.name].append(inner)
        elif isinstance(child, ast.ClassDef):
            inner_owner = child.name
        elif isinstance(child, ast.Call):
            module.calls.append(child)
        elif isinstance(child, ast.ImportFrom) and child.module:
            module.imported |= {name.asname or name.name: child.module for name in child.names}
        if within is not None:
            module.scopes[child] = within
        _enter(module, child, inner, inner_owner)


def _dotted(path: Path) -> str:
    parts = path.relative_to(_HOME.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _stated(call: ast.Call) -> Iterator[ast.expr]:
    """The texts among the arguments of a fault or refusal."""
    name = _name_of(call.func)
    places = {0: ""} if name in _REFUSALS else _STATED.get(name, {})
    for position, argument in enumerate(call.args):
        if position in places:
            yield argument
    for keyword in call.keywords:
        if keyword.arg in places.values():
            yield keyword.value


def _name_of(function: ast.expr) -> str:
    return (
        function.id
        if isinstance(function, ast.Name)
        else function.attr
        if isinstance(function, ast.Attribute)
        else ""
    )


@functools.cache
def _nodes(function: ast.AST) -> Sequence[ast.AST]:
    return tuple(ast.walk(function))


def _assigned(function: ast.AST, name: str, constants: Mapping[str, ast.expr]) -> Iterator[ast.expr]:
    for node in _nodes(function):
        match node:
            case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                yield value
            case ast.AnnAssign(target=ast.Name(id=target), value=ast.expr() as value) if target == name:
                yield value
            case ast.NamedExpr(target=ast.Name(id=target), value=value) if target == name:
                yield value
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
                for target, value in zip(targets, values, strict=True):
                    if isinstance(target, ast.Name) and target.id == name:
                        yield value
            case ast.For(target=target, iter=iterated) | ast.comprehension(target=target, iter=iterated):
                for item in _items(iterated, constants):
                    yield from _unpacked(target, item, name)


@functools.cache
def _listed(function: ast.AST) -> Mapping[str, ast.expr]:
    """Local names of what is written out as a list, a tuple or a mapping."""
    found: dict[str, ast.expr] = {}
    for node in _nodes(function):
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=ast.Dict() | ast.List() | ast.Tuple() as value)
                | ast.AnnAssign(
                    target=ast.Name(id=name), value=ast.Dict() | ast.List() | ast.Tuple() as value
                )
            ):
                found[name] = value
    return found


def _items(iterated: ast.expr, constants: Mapping[str, ast.expr]) -> Sequence[ast.expr]:
    """What a loop runs over, where that is written out: there, or as a constant of the module."""
    match iterated:
        case ast.Tuple(elts=items) | ast.List(elts=items):
            return items
        case ast.Name(id=name) if name in constants:
            return _items(constants[name], {})
        case ast.Call(func=ast.Attribute(value=listed, attr="items")):
            listed = constants.get(listed.id, listed) if isinstance(listed, ast.Name) else listed
            if isinstance(listed, ast.Dict):
                return [
                    ast.Tuple([key, value])
                    for key, value in zip(listed.keys, listed.values, strict=True)
                    if key
                ]
    return ()


def _unpacked(target: ast.expr, item: ast.expr, name: str) -> Iterator[ast.expr]:
    """What an item of a loop gives a name."""
    if isinstance(target, ast.Name) and target.id == name:
        yield item
    elif isinstance(target, ast.Tuple) and isinstance(item, ast.Tuple):
        for part, value in zip(target.elts, item.elts, strict=False):
            yield from _unpacked(part, value, name)


def _results(function: ast.AST) -> Iterator[ast.expr]:
    for node in _nodes(function):
        if isinstance(node, ast.Return) and node.value is not None:
            yield node.value


def _field_name(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            return name.strip("_") or "value"
        case ast.Attribute(attr=name):
            return name.strip("_").lower()
        case ast.Subscript(value=value, slice=ast.Constant(value=str(key))):
            return re.sub(r"\W", "_", key).strip("_").lower() or _field_name(value)
        case ast.Subscript(value=value):
            return _field_name(value)
        case ast.Call(func=ast.Attribute(attr="join"), args=[listed]):
            return _field_name(listed)
        case ast.Call(func=ast.Name(), args=[first, *_]):
            return _field_name(first)
        case ast.Call(func=ast.Attribute(value=receiver)):
            return _field_name(receiver)
        case ast.BinOp(left=left):
            return _field_name(left)
        case ast.GeneratorExp(elt=elt) | ast.ListComp(elt=elt):
            return _field_name(elt)
        case ast.IfExp(body=body):
            return _field_name(body)
    return "value"
