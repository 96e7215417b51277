"""The codec's networks: analysis, hyperprior, geometry core, pixel decoder, and the whole graph."""
