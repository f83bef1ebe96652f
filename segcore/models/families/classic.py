"""Families built of ordinary convolutions, which most later ones are measured against."""

from __future__ import annotations

from segcore.models.families.family import Family
from segcore.models.words import Words

CLASSIC = (
    Family(
        "resnet",
        "ResNet",
        "Deep Residual Learning for Image Recognition",
        "https://arxiv.org/abs/1512.03385",
        2015,
        Words(
            new="Shortcuts. A deep network is a long chain of filters, and beyond a certain length a longer chain "
            "used to get worse, even on the very images it was trained on. ResNet lets every block keep its input and "
            "learn only what to add to it: the residual.",
            helps="A block with nothing to add does no harm, and the learning signal has a free road back to the "
            "first layer. So depth pays again. The number in a name counts the layers with weights.",
            costs="The backbone of ResNet-18 has {resnet18.parameters} parameters, that of ResNet-50 "
            "{resnet50.parameters}. In a U-Net, ResNet-34 takes {resnet34.times} the multiply-adds of ResNet-18, "
            "ResNet-50 {resnet50.times}; memory in training goes from {resnet18.memory} for each image to "
            "{resnet50.memory}.",
            choose="First. It is the yardstick of the field: plain filters that run well on every kind of hardware, "
            "and behaviour that is well understood. Begin with ResNet-18 or ResNet-34, and let everything else prove "
            "on your data that it is better.",
        ),
    ),
    Family(
        "resnext",
        "ResNeXt",
        "Aggregated Residual Transformations for Deep Neural Networks",
        "https://arxiv.org/abs/1611.05431",
        2016,
        Words(
            new="Parallel lanes. A ResNeXt is a ResNet-50 or larger in which the filter in the middle of each block "
            "no longer looks at all channels at once: it is split into many narrow filters that see a few channels "
            "each.",
            helps="Narrow lanes are cheap, so a block can have more channels for the same amount of computing. In the "
            "paper this recognised more than a ResNet of equal cost, and more lanes helped more than more depth or "
            "width.",
            costs="ResNeXt-50 has {resnext50_32x4d.parameters} parameters, ResNet-50 {resnet50.parameters}; in a "
            "U-Net they take {resnext50_32x4d.macs} and {resnet50.macs} multiply-adds for an image. Its wider blocks "
            "keep more in training: {resnext50_32x4d.memory} for each image, against {resnet50.memory}. Hardware does "
            "not always run grouped filters as fast as their count promises. In a name such as 32x4d the first number "
            "counts the lanes, the second gives their width in the first stage.",
            choose="When ResNet-50 does well on your data and you would like to try a relative of the same cost on "
            "paper. Look at the measured times before you decide.",
        ),
    ),
    Family(
        "vgg",
        "VGG",
        "Very Deep Convolutional Networks for Large-Scale Image Recognition",
        "https://arxiv.org/abs/1409.1556",
        2014,
        Words(
            new="Nothing but small filters. Earlier networks used large ones as well; VGG stacks filters of 3 × 3 "
            "pixels, one after the other, and between groups of them halves the picture by keeping the largest "
            "values. No shortcuts, no branches.",
            helps="Two small filters in a row see as far as one of 5 × 5, with fewer weights and one more decision in "
            "between. And it is simple: the whole network can be drawn on a napkin.",
            costs="A great deal of computing, because its first layers slide over the picture at full resolution. In "
            "a U-Net, VGG-16 takes {vgg16.times} the multiply-adds of ResNet-18 and VGG-19 {vgg19.times}. The decoder "
            "here gets nothing of that full resolution: its finest features stand at half of it. The number in a name "
            "counts the layers with weights; the last three made up the classifier and are left out.",
            choose="As a reference, since many studies used it. Take pretrained weights, or the BN variant, which "
            "normalises between layers: without either it is hard to train. Keep it if it wins on your data by enough "
            "to pay for the time.",
        ),
    ),
    Family(
        "densenet",
        "DenseNet",
        "Densely Connected Convolutional Networks",
        "https://arxiv.org/abs/1608.06993",
        2016,
        Words(
            new="Every layer of a block sees what all layers before it in the block have found, not just the last "
            "one's result. Findings are laid side by side instead of being added, and each layer contributes only a "
            "few new channels.",
            helps="Nothing has to be found again, so layers can be narrow. Every layer also has a short way to the "
            "end, which makes learning easier. The number in a name counts the layers with weights.",
            costs="Few parameters: {densenet121.parameters} in the backbone of DenseNet-121, where ResNet-18 has "
            "{resnet18.parameters}. The price is memory. Findings are kept and put side by side again and again: in a "
            "U-Net {densenet121.memory} for each image in training, against {resnet18.memory}, and "
            "{densenet121.times} the multiply-adds. All that copying takes time which no count of multiplications "
            "shows. DeepLab and PAN refuse it: its filters cannot be spread.",
            choose="When the finished file should be small while the training machine has memory to spare. Its "
            "authors also saw it overfit less when training images were few, which may well be your case: worth a "
            "run.",
        ),
    ),
)
