"""How the studio is served: connections that are bounded and timed, places for streams, a quiet main loop."""
