"""The names that the architecture in an untrusted file may use.

Keras creates whatever a file names, with the arguments from the file. Some of its classes then
run code, read files or load other models: Lambda, TorchModuleWrapper, TFSMLayer, StringLookup and
others. These lists therefore contain only what computes tensors from tensors. They go by name: the
same name means the same in Keras 2 and Keras 3.
"""

from __future__ import annotations

import re
from typing import Any

_LAYERS = """
Activation ActivityRegularization AdaptiveAveragePooling1D AdaptiveAveragePooling2D
AdaptiveAveragePooling3D AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D Add
AdditiveAttention AlphaDropout Attention AugMix AutoContrast Average AveragePooling1D
AveragePooling2D AveragePooling3D AvgPool1D AvgPool2D AvgPool3D BatchNormalization
BatchNormalizationV1 BatchNormalizationV2 Bidirectional CategoryEncoding CenterCrop Concatenate
ContrastLimitedAdaptiveHistogramEqualization Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D
Conv3DTranspose ConvLSTM1D ConvLSTM2D ConvLSTM3D Convolution1D Convolution1DTranspose Convolution2D
Convolution2DTranspose Convolution3D Convolution3DTranspose Cropping1D Cropping2D Cropping3D
CuDNNGRU CuDNNLSTM CutMix Dense DepthwiseConv1D DepthwiseConv2D Discretization Dot Dropout ELU
EinsumDense Embedding Equalization Flatten GRU GRUCell GaussianDropout GaussianNoise
GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalAvgPool1D
GlobalAvgPool2D GlobalAvgPool3D GlobalMaxPool1D GlobalMaxPool2D GlobalMaxPool3D GlobalMaxPooling1D
GlobalMaxPooling2D GlobalMaxPooling3D GroupNormalization GroupQueryAttention GroupedQueryAttention
Identity Input InputLayer InputSpec LSTM LSTMCell LayerNormalization LeakyReLU LocallyConnected1D
LocallyConnected2D Masking MaxNumBoundingBoxes MaxPool1D MaxPool2D MaxPool3D MaxPooling1D
MaxPooling2D MaxPooling3D Maximum MelSpectrogram Minimum MixUp MultiHeadAttention Multiply
Normalization PReLU Permute Pipeline RMSNormalization RNN RandAugment RandomBrightness
RandomColorDegeneration RandomColorJitter RandomContrast RandomCrop RandomElasticTransform
RandomErasing RandomFlip RandomFourierFeatures RandomGaussianBlur RandomGrayscale RandomHeight
RandomHue RandomInvert RandomPerspective RandomPosterization RandomRotation RandomSaturation
RandomSharpness RandomShear RandomTranslation RandomWidth RandomZoom ReLU RepeatVector Rescaling
Reshape Resizing ReversibleEmbedding SeparableConv1D SeparableConv2D SeparableConvolution1D
SeparableConvolution2D SimpleRNN SimpleRNNCell Softmax Solarization SpatialDropout1D
SpatialDropout2D SpatialDropout3D SpectralNormalization STFTSpectrogram StackedRNNCells Subtract
SyncBatchNormalization ThresholdedReLU TimeDistributed UnitNormalization UpSampling1D UpSampling2D
UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D
"""
# Layers of the networks in keras.applications.
_OF_APPLICATIONS = "CustomScaleLayer LayerScale StochasticDepth"
_WHOLES = "Functional Model Sequential"
_INITIALIZERS = """
Constant GlorotNormal GlorotNormalV2 GlorotUniform GlorotUniformV2 HeNormal HeNormalV2 HeUniform
HeUniformV2 Identity IdentityInitializer IdentityV2 LecunNormal LecunNormalV2 LecunUniform
LecunUniformV2 Ones OnesV2 Orthogonal OrthogonalInitializer OrthogonalV2 RandomNormal
RandomNormalV2 RandomUniform RandomUniformV2 STFT STFTInitializer TruncatedNormal
TruncatedNormalV2 VarianceScaling VarianceScalingV2 Zeros ZerosV2 constant glorot_normal
glorot_uniform he_normal he_uniform identity lecun_normal lecun_uniform ones orthogonal
random_normal random_uniform truncated_normal variance_scaling zeros
"""
_REGULARIZERS_AND_CONSTRAINTS = """
L1 L1L2 L2 MaxNorm MinMaxNorm NonNeg OrthogonalRegularizer RadialConstraint UnitNorm l1 l1_l2 l2
max_norm min_max_norm non_neg unit_norm
"""
_TYPES = """
AWQConfig AWQDTypePolicy AbsMaxQuantizer DTypePolicy DTypePolicyMap Float8QuantizationConfig
FloatDTypePolicy GPTQConfig GPTQDTypePolicy Int4DTypePolicy Int4QuantizationConfig
Int8QuantizationConfig Policy QuantizationConfig QuantizedDTypePolicy QuantizedFloat8DTypePolicy
TensorShape __bytes__ __ellipsis__ __keras_tensor__ __numpy__ __slice__ __tensor__ __tuple__
"""
# A nested model carries its training configuration.
_TRAINING = """
AUC Accuracy Adadelta Adafactor Adagrad Adam AdamW Adamax BinaryAccuracy BinaryCrossentropy
BinaryFocalCrossentropy BinaryIoU CTC CategoricalAccuracy CategoricalCrossentropy
CategoricalFocalCrossentropy CategoricalGeneralizedCrossEntropy CategoricalHinge Circle
CosineDecay CosineDecayRestarts CosineSimilarity Dice ExponentialDecay F1Score FBetaScore
FalseNegatives FalsePositives Ftrl Hinge Huber InverseTimeDecay IoU KLDivergence Lamb Lion LogCosh
LogCoshError LossScaleOptimizer Mean MeanAbsoluteError MeanAbsolutePercentageError MeanIoU
MeanSquaredError MeanSquaredLogarithmicError Muon Nadam OneHotIoU OneHotMeanIoU
PiecewiseConstantDecay Poisson PolynomialDecay Precision PrecisionAtRecall R2Score RMSprop Recall
RecallAtPrecision RootMeanSquaredError SGD SensitivityAtSpecificity SparseCategoricalAccuracy
SparseCategoricalCrossentropy SparseTopKCategoricalAccuracy SpecificityAtSensitivity SquaredHinge
Sum TopKCategoricalAccuracy TrueNegatives TruePositives Tversky
"""
_CLASSES = frozenset(
    name
    for names in (
        *(
            _LAYERS,
            _OF_APPLICATIONS,
            _WHOLES,
            _INITIALIZERS,
            _REGULARIZERS_AND_CONSTRAINTS,
            _TYPES,
            _TRAINING,
        ),
    )
    for name in names.split()
)
_FUNCTIONS = frozenset(
    """
    binary_crossentropy categorical_crossentropy celu elu exponential gelu glu hard_shrink
    hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear log_sigmoid log_softmax mish
    relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign
    sparse_categorical_crossentropy sparse_plus sparse_sigmoid sparsemax squareplus swish
    tanh tanh_shrink threshold
    """.split()  # noqa: SIM905
)
# The modules of Keras's classes and functions, and those of its operations.
_KERAS = re.compile(
    r"(builtins|(tf_)?keras(\..+)?|tensorflow(\.python)?\.keras(\..+)?"
    r"|tensorflow\.python\.ops\.init_ops(_v2)?)"
)
_OPERATIONS = re.compile(r"keras(\.src)?\.ops\.(image|linalg|math|nn|numpy)")
_CORE_OPERATIONS = re.compile(r"keras(\.src)?\.ops\.core")
_ADMITTED_CORE = frozenset(
    """
    Cast ConvertToTensor DynamicSlice GetItem Rearrange SaturateCast ScatterUpdate Shape Slice
    SliceUpdate StopGradient Unstack
    """.split()  # noqa: SIM905
)
_TENSOR_TYPES = frozenset({"TensorSpec", "RaggedTensorSpec", "SparseTensorSpec"})
_TENSORFLOW = re.compile(r"tensorflow(\..+)?")
# TensorFlow functions that Keras 2 stores by name when a model calls them.
_TENSORFLOW_FUNCTIONS = frozenset(
    """
    __operators__.add __operators__.eq __operators__.getitem __operators__.ne argsort
    batch_to_space bitcast boolean_mask broadcast_to cast clip_by_norm clip_by_value concat
    convert_to_tensor einsum ensure_shape expand_dims gather gather_nd identity
    image.adjust_brightness image.adjust_contrast image.adjust_gamma image.adjust_hue
    image.adjust_saturation image.central_crop image.convert_image_dtype image.crop_and_resize
    image.crop_to_bounding_box image.extract_patches image.flip_left_right image.flip_up_down
    image.grayscale_to_rgb image.hsv_to_rgb image.image_gradients image.pad_to_bounding_box
    image.per_image_standardization image.random_brightness image.random_contrast
    image.random_flip_left_right image.random_flip_up_down image.random_hue
    image.random_saturation image.resize image.resize_with_crop_or_pad image.resize_with_pad
    image.rgb_to_grayscale image.rgb_to_hsv image.rgb_to_yiq image.rgb_to_yuv image.rot90
    image.sobel_edges image.total_variation image.transpose image.yiq_to_rgb image.yuv_to_rgb
    linalg.band_part linalg.cross linalg.diag linalg.diag_part linalg.einsum
    linalg.l2_normalize linalg.matmul linalg.matrix_transpose linalg.matvec linalg.norm
    linalg.normalize linalg.tensordot linalg.trace math.abs math.accumulate_n math.acos
    math.acosh math.add math.add_n math.angle math.argmax math.argmin math.asin math.asinh
    math.atan math.atan2 math.atanh math.ceil math.conj math.cos math.cosh math.cumprod
    math.cumsum math.cumulative_logsumexp math.divide math.divide_no_nan math.equal math.erf
    math.erfc math.exp math.expm1 math.floor math.floordiv math.floormod math.greater
    math.greater_equal math.imag math.in_top_k math.is_finite math.is_inf math.is_nan
    math.l2_normalize math.less math.less_equal math.lgamma math.log math.log1p
    math.log_sigmoid math.log_softmax math.logical_and math.logical_not math.logical_or
    math.logical_xor math.maximum math.minimum math.mod math.multiply math.multiply_no_nan
    math.negative math.not_equal math.pow math.real math.reciprocal math.reciprocal_no_nan
    math.reduce_all math.reduce_any math.reduce_euclidean_norm math.reduce_logsumexp
    math.reduce_max math.reduce_mean math.reduce_min math.reduce_prod math.reduce_std
    math.reduce_sum math.reduce_variance math.rint math.round math.rsqrt math.scalar_mul
    math.sigmoid math.sign math.sin math.sinh math.softmax math.softplus math.softsign
    math.sqrt math.square math.squared_difference math.subtract math.tan math.tanh math.top_k
    math.truediv math.xdivy math.xlogy meshgrid nn.atrous_conv2d nn.avg_pool nn.avg_pool1d
    nn.avg_pool2d nn.avg_pool3d nn.batch_normalization nn.bias_add nn.conv1d nn.conv2d
    nn.conv2d_transpose nn.conv3d nn.conv_transpose nn.convolution nn.crelu nn.depth_to_space
    nn.depthwise_conv2d nn.dilation2d nn.dropout nn.elu nn.gelu nn.l2_normalize nn.leaky_relu
    nn.local_response_normalization nn.log_softmax nn.max_pool nn.max_pool1d nn.max_pool2d
    nn.max_pool3d nn.max_pool_with_argmax nn.moments nn.pool nn.relu nn.relu6 nn.selu
    nn.separable_conv2d nn.sigmoid nn.silu nn.softmax nn.softplus nn.softsign nn.space_to_depth
    nn.swish nn.tanh nn.top_k norm one_hot ones_like pad
    quantization.fake_quant_with_min_max_args quantization.fake_quant_with_min_max_vars
    random.normal random.uniform rank realdiv repeat reshape reverse roll shape signal.fft
    signal.fft2d signal.ifft signal.ifft2d signal.irfft2d signal.rfft2d size slice sort
    space_to_batch split squeeze stack stop_gradient strided_slice tensor_scatter_nd_add
    tensor_scatter_nd_update tile transpose truncatediv truncatemod unstack where zeros_like
    """.split()  # noqa: SIM905
)
_FUNCTION_LAYERS = frozenset({"SlicingOpLambda", "TFOpLambda"})
_VERSION_1 = "compat.v1."
_CONSTANT = "_CONSTANT_VALUE"
_ARRAYS = frozenset({"__numpy__", "__tensor__"})
# NumPy also accepts type descriptions in which one element has any size.
_PLAIN_TYPE = re.compile(r"[a-z]+\d{0,3}")


def is_admitted(entry: dict[str, Any]) -> bool:
    """Returns whether a serialized Keras object only computes tensors from tensors.

    Args:
        entry: The object as serialized by Keras, with at least its "class_name".
    """
    name, module = entry["class_name"], entry.get("module")
    if not isinstance(module, str | None):
        return False
    if name == "__typespec__":
        spec = entry.get("spec_name")
        if entry.get("registered_name") not in (None, spec):
            return False
        return spec in _TENSOR_TYPES and bool(_TENSORFLOW.fullmatch(module or ""))
    if module is not None and not _KERAS.fullmatch(module):
        return False
    # Keras looks up an object by this name first or last, depending on the reader.
    registered = entry.get("registered_name") or name
    if name == "function":
        function = entry.get("config")
        return function in _FUNCTIONS and registered in (name, function)
    if not isinstance(registered, str) or registered.rpartition(">")[2] != name:
        return False
    if not _has_plain_type(entry) or not _is_called_with_tensors(entry):
        return False
    if name in _FUNCTION_LAYERS:
        return _calls_admitted(entry)
    if module is not None and _OPERATIONS.fullmatch(module):
        return True
    if module is not None and _CORE_OPERATIONS.fullmatch(module):
        return name in _ADMITTED_CORE
    return name in _CLASSES


def what_is_named(entry: dict[str, Any]) -> str:
    """Names an object, or the function that it calls, for an error message."""
    name, config = str(entry["class_name"]), entry.get("config")
    if name == "function":
        return str(config)
    if name in _FUNCTION_LAYERS and isinstance(config, dict):
        return f"tf.{config.get('function')}"
    return str(entry.get("spec_name", name))


def _calls_admitted(entry: dict[str, Any]) -> bool:
    config = entry.get("config")
    function = config.get("function") if isinstance(config, dict) else None
    return isinstance(function, str) and function.removeprefix(_VERSION_1) in _TENSORFLOW_FUNCTIONS


def _has_plain_type(entry: dict[str, Any]) -> bool:
    """Returns whether an array's dtype is no larger than the stored data."""
    if entry["class_name"] not in _ARRAYS:
        return True
    config = entry.get("config")
    dtype = config.get("dtype") if isinstance(config, dict) else None
    return isinstance(dtype, str) and bool(_PLAIN_TYPE.fullmatch(dtype))


def _is_called_with_tensors(entry: dict[str, Any]) -> bool:
    """Returns whether a layer is called with the outputs of layers, or not called at all.

    A layer that is called only with constants would be computed while the file is loaded.
    """
    calls = entry.get("inbound_nodes") or []
    return isinstance(calls, list) and all(_has_tensor(call) for call in calls)


def _has_tensor(call: Any) -> bool:
    if isinstance(call, dict):
        return call.get("class_name") == "__keras_tensor__" or any(
            _has_tensor(value) for value in call.values()
        )
    if not isinstance(call, list) or not call:
        return False
    # The name of a layer, the index of its call, and the index of the output.
    if isinstance(call[0], str) and len(call) in (3, 4) and call[0] != _CONSTANT:
        return all(isinstance(index, int) for index in call[1:3])
    return any(_has_tensor(part) for part in call)
