"""pocketsphinx decoders: the wheel's C functions called through ctypes, and a small pool of them.

The wheel's own Python class keeps the interpreter's lock while a decoder is made (300 to 500 ms) and while
an utterance is ended (up to 100 ms), which stops every call's event loop; ctypes gives the lock up.
The functions are pocketsphinx' public C API (pocketsphinx.h), exported by the wheel's extension module.
The decoder starts from the mean cepstrum of telephone speech (below): from the model's own, measured on
wide-band audio, twice as many words of a first utterance are wrong.
"""

import ctypes
import threading
from pathlib import Path

from bot.errors import PhoneAgentError

RATE = 16000
"""What the model in the wheel expects, in Hz."""

_TELEPHONE_CMN = b"45,31,-35,34,-20,-4.4,16.5,-13,21.5,-11,-0.1,10.3,-11.6"
"""Mean cepstrum after some seconds of speech that was sampled at 8 kHz."""
_INIT_LOCK = threading.Lock()


def _library() -> ctypes.CDLL:
    import pocketsphinx._pocketsphinx as extension

    library = ctypes.CDLL(extension.__file__)
    handle, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    signatures: dict[str, tuple[object, list[object]]] = {
        "ps_config_init": (handle, [handle]),
        "ps_config_set_str": (handle, [handle, text, text]),
        "ps_config_set_float": (handle, [handle, text, ctypes.c_double]),
        "ps_config_free": (number, [handle]),
        "ps_init": (handle, [handle]),
        "ps_free": (number, [handle]),
        "ps_start_utt": (number, [handle]),
        "ps_process_raw": (number, [handle, text, ctypes.c_size_t, number, number]),
        "ps_end_utt": (number, [handle]),
        "ps_get_hyp": (text, [handle, handle]),
        "ps_get_cmn": (text, [handle, number]),
        "ps_set_cmn": (number, [handle, text]),
        "err_set_loglevel_str": (text, [text]),
    }
    for name, (result, arguments) in signatures.items():
        try:
            function = getattr(library, name)
        except AttributeError:
            raise PhoneAgentError(
                f"this pocketsphinx build does not export {name}: use the Deepgram or moonshine hearing",
                code="engine_unusable",
            ) from None
        function.restype = result
        function.argtypes = arguments
    return library


class Decoder:
    """One utterance at a time, in one thread at a time. Holds about 90 MB; making one takes about 0.4 s."""

    def __init__(self) -> None:
        import pocketsphinx

        models = Path(pocketsphinx.get_model_path("en-us"))
        with _INIT_LOCK:
            self._library = _library()
            self._library.err_set_loglevel_str(b"FATAL")
            config = self._library.ps_config_init(None)
            paths = {"hmm": "en-us", "lm": "en-us.lm.bin", "dict": "cmudict-en-us.dict"}
            for name, file in paths.items():
                self._library.ps_config_set_str(config, name.encode(), str(models / file).encode())
            self._library.ps_config_set_float(config, b"samprate", float(RATE))
            self._library.ps_config_set_str(config, b"cmninit", _TELEPHONE_CMN)
            self._decoder = self._library.ps_init(config)
            self._library.ps_config_free(config)
        if not self._decoder:
            raise PhoneAgentError(f"pocketsphinx cannot load its model in {models}", code="engine_unusable")
        self._fresh_cmn = bytes(self._library.ps_get_cmn(self._decoder, 0))

    def start(self) -> None:
        self._check(self._library.ps_start_utt(self._decoder))

    def feed(self, pcm: bytes) -> str:
        """Takes 16 kHz 16-bit PCM; gives the words so far."""
        self._check(self._library.ps_process_raw(self._decoder, pcm, len(pcm) // 2, 0, 0))
        return self._words()

    def finish(self) -> str:
        """Ends the utterance; gives its words."""
        self._check(self._library.ps_end_utt(self._decoder))
        return self._words()

    def forget_speaker(self) -> None:
        """Drops what was learnt of the last call's voice and line."""
        self._check(self._library.ps_set_cmn(self._decoder, self._fresh_cmn))

    def free(self) -> None:
        if self._decoder:
            self._library.ps_free(self._decoder)
            self._decoder = None

    def _words(self) -> str:
        return (self._library.ps_get_hyp(self._decoder, None) or b"").decode(errors="replace")

    def _check(self, status: int) -> None:
        if status < 0:
            raise PhoneAgentError("pocketsphinx refused the audio", code="engine_failed")


class Decoders:
    """The process' decoders: idle ones are kept for the next call, at most `keep`. Thread-safe; blocking."""

    def __init__(self, *, keep: int = 2) -> None:
        self._keep = keep
        self._idle: list[Decoder] = []
        self._lock = threading.Lock()

    def load(self) -> None:
        """Makes the first decoder, so that the first call does not wait for it."""
        self.give_back(self.take())

    def take(self) -> Decoder:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return Decoder()

    def give_back(self, decoder: Decoder) -> None:
        """Takes a decoder that is not in an utterance."""
        decoder.forget_speaker()
        with self._lock:
            if len(self._idle) < self._keep:
                self._idle.append(decoder)
                return
        decoder.free()

    def close(self) -> None:
        """Frees the idle ones now, and those in use when they are given back."""
        with self._lock:
            idle, self._idle, self._keep = self._idle, [], 0
        for decoder in idle:
            decoder.free()
