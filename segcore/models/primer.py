"""Segmentation with encoder and decoder, for a newcomer; numbers as `words.network_numbers` names them."""

from __future__ import annotations

NETWORKS = ("resnet18", "vgg16", "efficientnet_b0")
"""The backbones whose U-Nets the text draws numbers from, each under its own name."""

PRIMER: tuple[tuple[str, str], ...] = (
    (
        "What is asked",
        "Semantic segmentation asks one question of every pixel: which class is this? Roof, road, tree or water. The "
        "answer is a mask, as large as the image, with a class at each place. It does not count things, nor tell one "
        "roof from the next.",
    ),
    (
        "The backbone sees",
        "The backbone, or encoder, turns pixels into features: maps, called channels, of where something is found. "
        "First edges, then textures, then parts of things. It works in stages. From one to the next the resolution "
        "falls, usually by half, while the number of channels grows. So each point sees more of its surroundings, and "
        "computing stays affordable. Of an image of {size} pixels ResNet-18 keeps {resnet18.coarsest} points. By then "
        "it knows what is there, but no longer exactly where.",
    ),
    (
        "The decoder draws",
        "The decoder leads features back to the size of the image. Skip connections hand it what earlier stages saw, "
        "where edges are still sharp. A small last layer, the head, gives every class a score at every pixel; the "
        "highest wins.",
    ),
    (
        "What pretrained means",
        "A network's parameters are the numbers that training adjusts. A pretrained backbone has learned its own on a "
        "large collection of photographs, and much of that, edges and textures above all, carries over to aerial "
        "images. The decoder always starts at random. With a few hundred images pretraining usually helps a lot.",
    ),
    (
        "Where the cost sits",
        "Parameters make the file large, multiply-adds make it slow, and features kept for learning fill the memory. "
        "Decoder and head of a U-Net take {efficientnet_b0.share} of the multiply-adds with EfficientNet-B0, "
        "{resnet18.share} with ResNet-18 and {vgg16.share} with VGG-16. Tables made for classification leave that "
        "out. Look at the whole network, and at the times measured on your machine.",
    ),
    (
        "How to choose, and how sure to be",
        "Begin with ResNet-18 in a U-Net and a backbone or two of another kind. Look first at the classes you care "
        "about, then at cost. Train each several times with other random numbers (seeds): the score changes each "
        "time, and with other scenes it would change again. A difference counts when it is larger than both explain. "
        "The Charts page works that out, and says so when it cannot tell yet.",
    ),
)
"""Title and text of each part, in reading order."""
