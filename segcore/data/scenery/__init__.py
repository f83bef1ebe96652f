"""Invented aerial scenery: a flat piece of land with things on it, lit by one sun and seen from above.

Land is three maps on one canvas: what each point reflects, how high it is and which class it belongs to.
Shading, shadows and shade under trees all follow from the heights (light.py), so that they agree with each
other whatever stands where, and masks are exact because nothing is painted without its class.
"""
