"""References that come by a relay: each call is passed on to the hub at once, and answered with what the hub says."""

from __future__ import annotations

import grpc

from tenure.errors import TransportError
from tenure.transport import CHANNEL_OPTIONS, OFFER, OLDER, credentials
from tenure_agent.config import UpstreamConfig
from tenure_agent.ingest import Busy
from tenure_proto.v1 import monitoring_pb2 as pb

PATIENCE = 10.0  # seconds; who offers gives up long before


class HubAway(Exception):
    """The hub did not answer: whoever offers tries again."""


class RelayOffers:
    """
    Parameters
    ----------
    upstream
        The hub; its files are read anew for every call.
    """

    def __init__(self, upstream: UpstreamConfig) -> None:
        self._address = str(upstream.address)
        self._files = upstream.files()

    async def offer(self, offer: pb.ReferenceOffer) -> pb.ReferenceReply:
        """
        Raises
        ------
        Busy
            The hub has no room at the moment.
        HubAway
            It cannot be reached, or does not let this relay in.
        """
        try:
            target, secured, metadata = credentials(self._address, **self._files)
        except TransportError as error:
            raise HubAway(str(error)) from None
        channel = (
            grpc.aio.insecure_channel(target, CHANNEL_OPTIONS)
            if secured is None
            else grpc.aio.secure_channel(target, secured, CHANNEL_OPTIONS)
        )
        async with channel:
            call = channel.unary_unary(
                OFFER,
                request_serializer=pb.ReferenceOffer.SerializeToString,
                response_deserializer=pb.ReferenceReply.FromString,
            )
            try:
                reply: pb.ReferenceReply = await call(offer, timeout=PATIENCE, metadata=metadata)
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                    return pb.ReferenceReply(refused="unknown", why=OLDER)
                if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
                    raise Busy("the hub has no room", 1000) from None
                raise HubAway(error.code().name) from None
        return reply
