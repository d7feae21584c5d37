"""Confines an engine process before it touches a model: files, network, signals, kernel calls.

`policy` says what an engine may do, and is made by the server. All other modules run in the engine,
import nothing but the standard library and msgspec, and start no threads: Landlock confines the
calling thread, and the threads and processes that it starts afterwards.
"""
