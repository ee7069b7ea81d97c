"""The TensorFlow operations that a graph from an untrusted source may have.

Each of them only computes tensors from tensors: it has no access to files, the network, Python or
other processes, and prints nothing. All others are refused, so that an operation that was
overlooked, or that a later TensorFlow adds, does no harm.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import Any

_ARITHMETIC = """
Abs AccumulateNV2 Acos Acosh Add AddN AddV2 Angle ApproximateEqual Asin Asinh Atan Atan2 Atanh
BesselI0 BesselI0e BesselI1 BesselI1e Betainc BitwiseAnd BitwiseOr BitwiseXor Cast Ceil ClipByValue
Complex ComplexAbs Conj Cos Cosh Cross Digamma Div DivNoNan Equal Erf Erfc Erfinv Exp Expm1 Floor
FloorDiv FloorMod Greater GreaterEqual Igamma IgammaGradA Igammac Imag Inv InvGrad Invert IsFinite
IsInf IsNan LeftShift Less LessEqual Lgamma Log Log1p LogicalAnd LogicalNot LogicalOr Maximum
Minimum Mod Mul MulNoNan Ndtri Neg NextAfter NotEqual Polygamma PopulationCount Pow Real RealDiv
Reciprocal ReciprocalGrad RightShift Rint Round Rsqrt RsqrtGrad Select SelectV2 Sigmoid SigmoidGrad
Sign Sin Sinh Sqrt SqrtGrad Square SquaredDifference Sub Tan Tanh TanhGrad TruncateDiv TruncateMod
Xdivy Xlog1py Xlogy Zeta
"""
_REDUCTIONS = """
All Any ArgMax ArgMin Bincount Bucketize Cumprod Cumsum CumulativeLogsumexp DenseBincount
EuclideanNorm HistogramFixedWidth InTopK InTopKV2 L2Loss Max Mean Min NthElement Prod SegmentMax
SegmentMaxV2 SegmentMean SegmentMin SegmentMinV2 SegmentProd SegmentProdV2 SegmentSum SegmentSumV2
Sum TopK TopKV2 Unique UniqueV2 UniqueWithCounts UniqueWithCountsV2 UnsortedSegmentMax
UnsortedSegmentMin UnsortedSegmentProd UnsortedSegmentSum
"""
_ARRANGING = """
BatchToSpace BatchToSpaceND Bitcast BroadcastArgs BroadcastGradientArgs BroadcastTo Concat
ConcatOffset ConcatV2 ConjugateTranspose DataFormatDimMap DataFormatVecPermute DeepCopy
DepthToSpace Diag DiagPart DynamicPartition DynamicStitch Empty EnsureShape ExpandDims Fill Gather
GatherNd GatherV2 InplaceAdd InplaceSub InplaceUpdate InvertPermutation LinSpace ListDiff
LowerBound MatrixBandPart MatrixDiag MatrixDiagPart MatrixDiagPartV2 MatrixDiagPartV3 MatrixDiagV2
MatrixDiagV3 MatrixSetDiag MatrixSetDiagV2 MatrixSetDiagV3 MirrorPad MirrorPadGrad OneHot OnesLike
Pack Pad PadV2 ParallelConcat ParallelDynamicStitch Range Rank Reshape Reverse ReverseSequence
ReverseV2 Roll ScatterNd ScatterNdNonAliasingAdd Shape ShapeN Size Slice SpaceToBatch
SpaceToBatchND SpaceToDepth Split SplitV Squeeze StridedSlice StridedSliceGrad TensorScatterAdd
TensorScatterMax TensorScatterMin TensorScatterSub TensorScatterUpdate TensorStridedSliceUpdate
Tile TileGrad Transpose Unpack UnravelIndex UpperBound Where ZerosLike
"""
_LINEAR_ALGEBRA = """
BatchMatMul BatchMatMulV2 BatchMatMulV3 Cholesky CholeskyGrad Einsum FFT FFT2D FFT3D IFFT IFFT2D
IFFT3D IRFFT IRFFT2D IRFFT3D LogMatrixDeterminant MatMul MatrixDeterminant MatrixInverse
MatrixSolve MatrixSolveLs MatrixTriangularSolve Qr RFFT RFFT2D RFFT3D SelfAdjointEigV2 Svd
"""
_NETWORKS = """
AvgPool AvgPool3D AvgPool3DGrad AvgPoolGrad BiasAdd BiasAddGrad BiasAddV1 BlockLSTM BlockLSTMV2
Conv Conv2D Conv2DBackpropFilter Conv2DBackpropFilterV2 Conv2DBackpropInput Conv2DBackpropInputV2
Conv3D Conv3DBackpropFilterV2 Conv3DBackpropInputV2 DepthwiseConv2dNative
DepthwiseConv2dNativeBackpropFilter DepthwiseConv2dNativeBackpropInput Dequantize Dilation2D
Dilation2DBackpropFilter Dilation2DBackpropInput Elu EluGrad FakeQuantWithMinMaxArgs
FakeQuantWithMinMaxArgsGradient FakeQuantWithMinMaxVars FakeQuantWithMinMaxVarsGradient
FakeQuantWithMinMaxVarsPerChannel FakeQuantWithMinMaxVarsPerChannelGradient FractionalAvgPool
FractionalMaxPool FusedBatchNorm FusedBatchNormGrad FusedBatchNormGradV2 FusedBatchNormGradV3
FusedBatchNormV2 FusedBatchNormV3 FusedPadConv2D FusedResizeAndPadConv2D GRUBlockCell LRN LRNGrad
LSTMBlockCell LeakyRelu LeakyReluGrad LogSoftmax MaxPool MaxPool3D MaxPool3DGrad MaxPool3DGradGrad
MaxPoolGrad MaxPoolGradGrad MaxPoolGradGradV2 MaxPoolGradV2 MaxPoolGradWithArgmax MaxPoolV2
MaxPoolWithArgmax QuantizeAndDequantize QuantizeAndDequantizeV2 QuantizeAndDequantizeV3
QuantizeAndDequantizeV4 QuantizeAndDequantizeV4Grad QuantizeV2 Relu Relu6 Relu6Grad ReluGrad Selu
SeluGrad Softmax SoftmaxCrossEntropyWithLogits Softplus SoftplusGrad Softsign SoftsignGrad
SparseSoftmaxCrossEntropyWithLogits
"""
_PICTURES = """
AdjustContrast AdjustContrastv2 AdjustHue AdjustSaturation CombinedNonMaxSuppression CropAndResize
CropAndResizeGradBoxes CropAndResizeGradImage DecodeBase64 DecodeImage DecodeJpeg DecodePng
DrawBoundingBoxes DrawBoundingBoxesV2 ExtractGlimpse ExtractGlimpseV2 ExtractImagePatches
ExtractVolumePatches HSVToRGB ImageProjectiveTransformV2 ImageProjectiveTransformV3
NonMaxSuppression NonMaxSuppressionV2 NonMaxSuppressionV3 NonMaxSuppressionV4 NonMaxSuppressionV5
RGBToHSV ResizeArea ResizeBicubic ResizeBicubicGrad ResizeBilinear ResizeBilinearGrad
ResizeNearestNeighbor ResizeNearestNeighborGrad ScaleAndTranslate ScaleAndTranslateGrad
"""
_RANDOM = """
Multinomial NonDeterministicInts ParameterizedTruncatedNormal RandomGamma RandomGammaGrad
RandomPoissonV2 RandomShuffle RandomStandardNormal RandomUniform RandomUniformInt RngReadAndSkip
RngSkip StatefulStandardNormal StatefulStandardNormalV2 StatefulTruncatedNormal StatefulUniform
StatefulUniformFullInt StatefulUniformInt StatelessMultinomial
StatelessParameterizedTruncatedNormal StatelessRandomBinomial StatelessRandomGammaV2
StatelessRandomGetAlg StatelessRandomGetKeyCounter StatelessRandomGetKeyCounterAlg
StatelessRandomNormal StatelessRandomNormalV2 StatelessRandomPoisson StatelessRandomUniform
StatelessRandomUniformFullInt StatelessRandomUniformFullIntV2 StatelessRandomUniformInt
StatelessRandomUniformIntV2 StatelessRandomUniformV2 StatelessTruncatedNormal
StatelessTruncatedNormalV2 TruncatedNormal
"""
_FLOW = """
Assert Case CheckNumerics CheckNumericsV2 Const ControlTrigger DummySeedGenerator EmptyTensorList
Enter Exit FakeParam For GuaranteeConst Identity IdentityN If LoopCond Merge NextIteration NoOp
PartitionedCall Placeholder PlaceholderV2 PlaceholderWithDefault PreventGradient Snapshot
StatefulPartitionedCall StatelessCase StatelessIf StatelessWhile StopGradient Switch
TensorArrayCloseV3 TensorArrayConcatV3 TensorArrayGatherV3 TensorArrayGradV3 TensorArrayReadV3
TensorArrayScatterV3 TensorArraySizeV3 TensorArraySplitV3 TensorArrayV3 TensorArrayWriteV3
TensorListConcatV2 TensorListElementShape TensorListFromTensor TensorListGather TensorListGetItem
TensorListLength TensorListPopBack TensorListPushBack TensorListReserve TensorListResize
TensorListScatter TensorListScatterV2 TensorListSetItem TensorListSplit TensorListStack ToBool
While
"""
_VARIABLES = """
AssignAddVariableOp AssignSubVariableOp AssignVariableOp DestroyResourceOp DisableCopyOnRead
ReadVariableOp
ResourceApplyAdam ResourceApplyGradientDescent ResourceApplyKerasMomentum ResourceApplyMomentum
ResourceApplyRMSProp ResourceGather ResourceGatherNd ResourceScatterAdd ResourceScatterUpdate
ResourceStridedSliceAssign VarHandleOp VarIsInitializedOp VariableShape VariableV2
"""
PURE_OPERATIONS = frozenset(
    name
    for names in (
        *(_ARITHMETIC, _REDUCTIONS, _ARRANGING, _LINEAR_ALGEBRA, _NETWORKS, _PICTURES),
        *(_RANDOM, _FLOW, _VARIABLES),
    )
    for name in names.split()
)
# A constant may be stored as one value for all its elements. A large constant may have this many
# elements for each stored byte; a small one may have any number.
_MOST_ELEMENTS = 100
_FEW_ELEMENTS = 16_000_000


def impure_operations(graph: Any) -> set[str]:
    """Finds operations in a graph and its function library that aren't known to be harmless.

    Args:
        graph: A ``tf.compat.v1.GraphDef``.

    Returns:
        The types of operations that aren't among `PURE_OPERATIONS`, and "Const" if a constant
        takes far more memory than its stored size.
    """
    functions = {function.signature.name for function in graph.library.function}
    found = impure_nodes(graph.node, functions)
    for function in graph.library.function:
        found |= impure_nodes(function.node_def, functions)
    return found


def impure_nodes(nodes: Iterable[Any], functions: Collection[str]) -> set[str]:
    """Finds nodes that aren't known to be harmless.

    Args:
        nodes: ``tf.compat.v1.NodeDef`` messages.
        functions: The names of the library's functions; a node can also call one by its name.

    Returns:
        As for `impure_operations`.
    """
    known = PURE_OPERATIONS.union(functions)
    return {node.op for node in nodes if node.op not in known or _is_bomb(node)}


def count_elements(tensor: Any) -> int:
    """Counts the elements that a stored tensor has once it is unpacked.

    Args:
        tensor: A ``TensorProto``.
    """
    return math.prod(max(0, dimension.size) for dimension in tensor.tensor_shape.dim)


def _is_bomb(node: Any) -> bool:
    if node.op != "Const":
        return False
    tensor = node.attr["value"].tensor
    elements = count_elements(tensor)
    # Computing the size of a large tensor takes as long as writing it, so it comes last.
    return elements > _FEW_ELEMENTS and elements > _MOST_ELEMENTS * int(tensor.ByteSize())
