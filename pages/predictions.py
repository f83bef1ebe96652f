"""Predictions: image, mask and what a trained network sees, side by side."""

import numpy as np
import streamlit as st

from segcore import figures
from segcore.data.classes import palette
from segcore.data.store import DatasetStore
from segcore.evaluation.confusion import confusion_counts
from segcore.evaluation.metrics import scores
from segcore.store import RunStore
from segcore.ui import components, legend, predictions_choice, predictions_export
from segcore.ui import predictions_view as view
from segcore.ui.state import Key

components.heading("Predictions", "What does a trained network see in an image, and where is it wrong?")

store = RunStore()
run = predictions_choice.choose_run(store)
if run is None:
    with components.empty_state(
        "No trained network yet",
        "Predictions are made by the backbones of a study, from their first trained epoch on. Launch one in the "
        "sidebar, or start the demo on the Overview page.",
        icon=":material/layers:",
    ):
        if st.button("Go to Overview", type="primary", icon=":material/home:"):
            st.switch_page("pages/overview.py")
    st.stop()

scene = predictions_choice.choose_scene(run, DatasetStore(store.workspace))
if scene is None:
    st.stop()
if scene.seen_in_training:
    st.badge("The network learnt from this very image: expect it to look better than it is", color="orange",
             icon=":material/school:")  # fmt: skip

classes = run.config.dataset.trained_classes
colors = palette(classes)
labels = view.predict(run, scene.image, scene.source)
mask = figures.colorize(labels, colors)

pictures = [("Image", scene.image), ("Prediction", mask)]
if scene.truth is not None:
    pictures.insert(1, ("Mask (the truth)", figures.colorize(scene.truth, colors)))
for column, (caption, picture) in zip(st.columns(len(pictures)), pictures, strict=True):
    column.image(picture, caption=caption, width="stretch", alt=caption)

view.draw_scale_note(run, scene.image, scene.source)

iou = None
if scene.truth is not None:
    result = scores(confusion_counts(labels, scene.truth, len(classes)))
    iou = np.asarray(result.iou)
    view.draw_scores(run, result, scene.image)

opacity = st.slider(
    "Opacity of the prediction over the image",
    min_value=0,
    max_value=100,
    value=50,
    step=5,
    format="%d %%",
    key=Key.PREDICT_OPACITY,
    persist_state="session",
)
overlay_side, error_side = st.columns(2) if scene.truth is not None else (st.container(), None)
with overlay_side:
    picture = figures.overlay(scene.image, labels, colors, opacity / 100)
    st.image(picture, caption="Prediction over the image", width="stretch", alt="Prediction over the image")
if error_side is not None:
    with error_side:
        view.draw_errors(labels, scene.truth, classes)

legend.draw(classes, labels, scene.truth, iou)
height, width = labels.shape
st.download_button(
    "Download the predicted mask (PNG)",
    view.png(mask),
    file_name=f"{scene.name}-{run.name}.png",
    mime="image/png",
    key=Key.PREDICT_MASK,
    icon=":material/download:",
    on_click="ignore",
    help=f"{width} × {height} pixels in the colours of the class table. The command line's predict writes full size.",
)
predictions_export.draw([run])
