"""Requests and replies of real agents and servers, by the formats in which they come."""
