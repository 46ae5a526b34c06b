from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHAMPION: _ClassVar[Role]
    CHALLENGER: _ClassVar[Role]
    SHADOW: _ClassVar[Role]

class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NUMBER: _ClassVar[Kind]
    BOOLEAN: _ClassVar[Kind]
    DATETIME: _ClassVar[Kind]
    TEXT: _ClassVar[Kind]
CHAMPION: Role
CHALLENGER: Role
SHADOW: Role
NUMBER: Kind
BOOLEAN: Kind
DATETIME: Kind
TEXT: Kind

class ReportRequest(_message.Message):
    __slots__ = ("producer_id", "seq", "batches", "outcomes", "losses", "acked_seq", "refused")
    PRODUCER_ID_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    LOSSES_FIELD_NUMBER: _ClassVar[int]
    ACKED_SEQ_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    producer_id: str
    seq: int
    batches: _containers.RepeatedCompositeFieldContainer[Batch]
    outcomes: _containers.RepeatedCompositeFieldContainer[Outcomes]
    losses: _containers.RepeatedCompositeFieldContainer[Loss]
    acked_seq: int
    refused: _containers.RepeatedCompositeFieldContainer[Rejection]
    def __init__(self, producer_id: _Optional[str] = ..., seq: _Optional[int] = ..., batches: _Optional[_Iterable[_Union[Batch, _Mapping]]] = ..., outcomes: _Optional[_Iterable[_Union[Outcomes, _Mapping]]] = ..., losses: _Optional[_Iterable[_Union[Loss, _Mapping]]] = ..., acked_seq: _Optional[int] = ..., refused: _Optional[_Iterable[_Union[Rejection, _Mapping]]] = ...) -> None: ...

class ReportReply(_message.Message):
    __slots__ = ("acked_seq", "rejections", "directives", "session")
    ACKED_SEQ_FIELD_NUMBER: _ClassVar[int]
    REJECTIONS_FIELD_NUMBER: _ClassVar[int]
    DIRECTIVES_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    acked_seq: int
    rejections: _containers.RepeatedCompositeFieldContainer[Rejection]
    directives: _containers.RepeatedCompositeFieldContainer[Directive]
    session: str
    def __init__(self, acked_seq: _Optional[int] = ..., rejections: _Optional[_Iterable[_Union[Rejection, _Mapping]]] = ..., directives: _Optional[_Iterable[_Union[Directive, _Mapping]]] = ..., session: _Optional[str] = ...) -> None: ...

class Directive(_message.Message):
    __slots__ = ("model", "version", "kind", "argument")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ARGUMENT_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    kind: str
    argument: str
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ..., kind: _Optional[str] = ..., argument: _Optional[str] = ...) -> None: ...

class Batch(_message.Message):
    __slots__ = ("model", "version", "role", "rows", "times", "ids", "features", "outputs", "latencies", "errors")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    TIMES_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    LATENCIES_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    role: Role
    rows: int
    times: bytes
    ids: Ids
    features: _containers.RepeatedCompositeFieldContainer[Column]
    outputs: _containers.RepeatedCompositeFieldContainer[Column]
    latencies: bytes
    errors: _containers.RepeatedCompositeFieldContainer[ErrorRow]
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ..., role: _Optional[_Union[Role, str]] = ..., rows: _Optional[int] = ..., times: _Optional[bytes] = ..., ids: _Optional[_Union[Ids, _Mapping]] = ..., features: _Optional[_Iterable[_Union[Column, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[Column, _Mapping]]] = ..., latencies: _Optional[bytes] = ..., errors: _Optional[_Iterable[_Union[ErrorRow, _Mapping]]] = ...) -> None: ...

class Ids(_message.Message):
    __slots__ = ("prefix", "counters", "texts")
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    COUNTERS_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    prefix: str
    counters: bytes
    texts: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, prefix: _Optional[str] = ..., counters: _Optional[bytes] = ..., texts: _Optional[_Iterable[str]] = ...) -> None: ...

class Column(_message.Message):
    __slots__ = ("name", "kind", "numbers", "texts", "codes", "validity")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NUMBERS_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    CODES_FIELD_NUMBER: _ClassVar[int]
    VALIDITY_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: Kind
    numbers: bytes
    texts: _containers.RepeatedScalarFieldContainer[str]
    codes: bytes
    validity: bytes
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[_Union[Kind, str]] = ..., numbers: _Optional[bytes] = ..., texts: _Optional[_Iterable[str]] = ..., codes: _Optional[bytes] = ..., validity: _Optional[bytes] = ...) -> None: ...

class ErrorRow(_message.Message):
    __slots__ = ("row", "type")
    ROW_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    row: int
    type: str
    def __init__(self, row: _Optional[int] = ..., type: _Optional[str] = ...) -> None: ...

class Outcomes(_message.Message):
    __slots__ = ("model", "ids", "times", "labels", "values")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    TIMES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    model: str
    ids: _containers.RepeatedScalarFieldContainer[str]
    times: bytes
    labels: Column
    values: Column
    def __init__(self, model: _Optional[str] = ..., ids: _Optional[_Iterable[str]] = ..., times: _Optional[bytes] = ..., labels: _Optional[_Union[Column, _Mapping]] = ..., values: _Optional[_Union[Column, _Mapping]] = ...) -> None: ...

class Loss(_message.Message):
    __slots__ = ("model", "reason", "rows")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    model: str
    reason: str
    rows: int
    def __init__(self, model: _Optional[str] = ..., reason: _Optional[str] = ..., rows: _Optional[int] = ...) -> None: ...

class Rejection(_message.Message):
    __slots__ = ("model", "reason", "rows")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    model: str
    reason: str
    rows: int
    def __init__(self, model: _Optional[str] = ..., reason: _Optional[str] = ..., rows: _Optional[int] = ...) -> None: ...

class ReferenceOffer(_message.Message):
    __slots__ = ("model", "version", "sha256", "size", "offset", "content")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    sha256: bytes
    size: int
    offset: int
    content: bytes
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ..., sha256: _Optional[bytes] = ..., size: _Optional[int] = ..., offset: _Optional[int] = ..., content: _Optional[bytes] = ...) -> None: ...

class ReferenceReply(_message.Message):
    __slots__ = ("taken", "refused", "why", "wanted")
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    WANTED_FIELD_NUMBER: _ClassVar[int]
    taken: bool
    refused: str
    why: str
    wanted: int
    def __init__(self, taken: bool = ..., refused: _Optional[str] = ..., why: _Optional[str] = ..., wanted: _Optional[int] = ...) -> None: ...

class AskRequest(_message.Message):
    __slots__ = ("verb", "arguments")
    VERB_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    verb: str
    arguments: str
    def __init__(self, verb: _Optional[str] = ..., arguments: _Optional[str] = ...) -> None: ...

class AskReply(_message.Message):
    __slots__ = ("answer",)
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    answer: str
    def __init__(self, answer: _Optional[str] = ...) -> None: ...
