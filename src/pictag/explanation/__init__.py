"""Explanations: heatmaps of the areas that changed a model's score.

`pictag.ImageClassificationPipeline.map_score` computes the maps; this package draws them and writes files.
"""

from __future__ import annotations

from pictag.explanation.heatmap import MAX_EDGE, SENTENCE, draw_heat, draw_heatmap
from pictag.pipelines.score_map import ScoreMap

__all__ = ["MAX_EDGE", "SENTENCE", "ScoreMap", "draw_heat", "draw_heatmap"]
