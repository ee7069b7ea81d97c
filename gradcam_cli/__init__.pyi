from .api.callback import GradCAMCallback as GradCAMCallback
from .api.explainers import FEM as FEM
from .api.explainers import AblationCAM as AblationCAM
from .api.explainers import AttentionRelevance as AttentionRelevance
from .api.explainers import AttentionRollout as AttentionRollout
from .api.explainers import EigenCAM as EigenCAM
from .api.explainers import EigenGradCAM as EigenGradCAM
from .api.explainers import FinerCAM as FinerCAM
from .api.explainers import FullGrad as FullGrad
from .api.explainers import GradCAMPP as GradCAMPP
from .api.explainers import GroupCAM as GroupCAM
from .api.explainers import GuidedGradCAM as GuidedGradCAM
from .api.explainers import HiResCAM as HiResCAM
from .api.explainers import LayerCAM as LayerCAM
from .api.explainers import LeGrad as LeGrad
from .api.explainers import ReciproCAM as ReciproCAM
from .api.explainers import ScoreCAM as ScoreCAM
from .api.explainers import ShapleyCAM as ShapleyCAM
from .api.explainers import SmoothGradCAMPP as SmoothGradCAMPP
from .api.explainers import XGradCAM as XGradCAM
from .api.grad_cam import GradCAM as GradCAM
from .api.image import ImageExplanation as ImageExplanation
from .api.image import explain_image as explain_image
from .api.loading import load_model as load_model
from .cluster.audit import audit as audit

__version__: str
