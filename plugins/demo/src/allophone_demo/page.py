"""The Gradio page of `allophone demo`.

It loads nothing from the internet and sends nothing there: fonts and scripts are Gradio's local files, and its
analytics and run history are disabled.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import gradio as gr
from starlette.applications import Starlette
from starlette.middleware import Middleware

from allophone.errors import UserError
from allophone.synthesis.voice import SENTENCE_PAUSE
from allophone_demo.answers import Row, answer, error_message
from allophone_demo.guard import MAX_UPLOAD, Guard, allowed_hosts
from allophone_demo.knobs import Choice, Knob, Slider, Switch, wanted
from allophone_demo.voices import Panel, Voices

_FIRST_TEXT = "The quick brown fox jumps over the lazy dog, and nobody minds."

_ADDRESS = "127.0.0.1"

_KEPT_FOR = 3600
"""Seconds after which the page's audio files are deleted."""


def launch(
    voices: Voices, *, port: int | None, share: bool, allow_hosts: Iterable[str] = ()
) -> gr.Blocks:
    """Serve the page in background threads, only on this machine unless it is shared.

    port: defaults to the first free one from 7860. allow_hosts: names under which the page may be requested, besides
    those of this machine; a page that is shared has any name. Raises UserError if the port is in use.
    """
    page = build(voices)
    hosts = None if share else allowed_hosts(_ADDRESS, allow_hosts)
    guard = Middleware(Guard, hosts=hosts, uploads=voices.take_recordings)
    try:
        page.launch(
            server_name=_ADDRESS,
            max_file_size=MAX_UPLOAD,
            app_kwargs={"middleware": [guard]},
            server_port=port,
            share=share,
            quiet=True,
            ssr_mode=False,
            run_history=False,
            footer_links=[],
            prevent_thread_lock=True,
        )
    except OSError as error:
        raise UserError(
            f"The page cannot be served: {f'port {port} is already in use' if port else error}.",
            hint="Choose a free port with --port.",
        ) from error
    return page


def mount(app: Starlette, voices: Voices, *, hosts: frozenset[str] | None) -> None:
    """Serve the page under `/` of an application, after the application's own routes.

    hosts: see `allowed_hosts`; they are checked for the whole application.
    """
    app.add_middleware(Guard, hosts=hosts, uploads=voices.take_recordings)
    gr.mount_gradio_app(
        app,
        build(voices),
        path="/",
        max_file_size=MAX_UPLOAD,
        ssr_mode=False,
        run_history=False,
        footer_links=[],
    )


def build(voices: Voices) -> gr.Blocks:
    """Build the page; selecting a voice rebuilds the speakers and controls."""
    with gr.Blocks(
        title="Allophone", analytics_enabled=False, delete_cache=(_KEPT_FOR, _KEPT_FOR)
    ) as page:
        gr.Markdown("# Allophone")
        with gr.Row():
            with gr.Column():
                # Gradio makes inputs read-only if they are used only in listeners that are added later.
                text = gr.Textbox(
                    _FIRST_TEXT, label="Text", lines=4, interactive=True, elem_id="text"
                )
                place = gr.Dropdown(
                    list(voices.places), value=voices.places[0], label="Voice", elem_id="voice"
                )
                button = gr.Button("Speak", variant="primary", elem_id="speak")
                message = gr.HTML(elem_id="message")
                speech = gr.Audio(
                    label="Speech",
                    interactive=False,
                    autoplay=True,
                    buttons=["download"],
                    elem_id="speech",
                )
            panel = gr.Column(elem_id="panel")
        figure = gr.HTML(elem_id="figure")
        with gr.Accordion("Phonemes", open=False, elem_id="phonemes"):
            phonemes = gr.Dataframe(
                headers=["phoneme", "start (s)", "duration (ms)"],
                datatype=["str", "number", "number"],
                interactive=False,
            )
        with panel:

            @gr.render(inputs=place)
            def show(chosen: str) -> None:
                _show_panel(voices, chosen, text, button, [message, speech, figure, phonemes])

    return page


def _show_panel(
    voices: Voices,
    place: str,
    text: gr.Textbox,
    button: gr.Button,
    outputs: list[gr.components.Component],
) -> None:
    """Build the speakers and controls of a voice, and connect the button."""
    try:
        panel = voices.panel(place)
    except UserError as error:
        gr.HTML(error_message(error))
        return

    def speak(
        words: object,
        speaker: object,
        language: object,
        vocoder: object,
        prompt_audio: str | None,
        prompt_text: object,
        seed: object,
        pause: object,
        *shown: Any,
    ) -> tuple[str, bytes | None, str, list[Row]]:
        given = answer(
            voices,
            place,
            words,
            speaker=speaker,
            language=language,
            vocoder=vocoder,
            prompt_audio=prompt_audio,
            prompt_text=prompt_text,
            seed=seed,
            pause=pause,
            controls=lambda: wanted(panel.knobs, shown),
        )
        return given.message, given.wav, given.figure, given.phonemes

    button.click(
        speak,
        inputs=[
            _unchecked(widget) for widget in (text, *_choices(panel), *map(_shown, panel.knobs))
        ],
        outputs=outputs,
        api_visibility="private",
    )


def _choices(panel: Panel) -> list[gr.components.Component]:
    """The inputs common to all voices; each is visible only if there is a choice."""
    return [
        _dropdown("Speaker", panel.speakers),
        _dropdown("Language", panel.languages),
        _dropdown("Vocoder", panel.vocoders),
        gr.Audio(
            label="Reference recording (a few seconds), whose voice is cloned",
            type="filepath",
            visible=panel.takes_prompt,
            elem_id="prompt-audio",
        ),
        gr.Textbox(
            "",
            label="Transcript of the recording",
            info="If empty, the text must begin with the transcript, and the speech continues the recording.",
            visible=panel.takes_prompt,
            elem_id="prompt-text",
        ),
        gr.Number(0, label="Seed", precision=0, minimum=0, info="Seed of all randomness."),
        gr.Slider(
            0, 2, value=SENTENCE_PAUSE, step=0.05, label="Pause", info="Seconds between sentences."
        ),
    ]


def _unchecked(widget: gr.components.Component) -> gr.components.Component:
    """Let a widget pass on what the browser sends, which `answer` checks.

    Gradio answers wrong values with messages of its own outside of the page, or with none. Files are left to it:
    it makes sure that a path is that of an upload.
    """
    if not isinstance(widget, gr.Audio):
        widget.preprocess = _passed_on  # type: ignore[method-assign]
    return widget


def _passed_on(payload: Any) -> Any:
    return payload


def _dropdown(label: str, names: tuple[str, ...]) -> gr.Dropdown:
    return gr.Dropdown(
        list(names),
        value=names[0] if names else None,
        label=label,
        visible=len(names) > 1,
        elem_id=label.lower(),
    )


def _shown(knob: Knob) -> gr.components.Component:
    common: dict[str, Any] = {
        "value": knob.default,
        "label": knob.label,
        "info": knob.explanation or None,
        "elem_id": f"control-{knob.name}",
    }
    match knob:
        case Slider():
            return gr.Slider(knob.low, knob.high, step=knob.step, **common)
        case Choice():
            return gr.Radio(list(knob.options), **common)
        case Switch():
            return gr.Checkbox(**common)
        case _:
            return gr.Textbox(**{**common, "value": "", "placeholder": str(knob.default)})
